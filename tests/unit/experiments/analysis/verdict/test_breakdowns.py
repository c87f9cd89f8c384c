"""The primary metric by part of a log: adjusted p-values, and trends over time."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest

from experiments.analysis.moments import Moments
from experiments.analysis.verdict.breakdowns import break_down, trend, trends_of
from experiments.analysis.verdict.effects import MEASURES, Effect


def day(logarithm: float, error: float = 0.05) -> Effect:
    """An effect of that log ratio."""
    return Effect(1.0, math.exp(logarithm), math.expm1(logarithm), 0, 0, 0, error)


def test_a_line_is_found_exactly() -> None:
    """A ratio that shrinks by five per cent a day."""
    found = trend([day(0.3 + n * math.log(0.95)) for n in range(6)])
    assert found is not None
    assert found.per_day == pytest.approx(-0.05)
    error = 0.05 / math.sqrt(sum((n - 2.5) ** 2 for n in range(6)))
    assert found.high == pytest.approx(0.95 * math.exp(1.959964 * error) - 1)


def test_precise_days_weigh_more() -> None:
    """A day that is off counts for nothing if it is known badly."""
    days = [day(0.1), day(0.1), day(2.0, error=50), day(0.1), day(0.1), day(0.1)]
    found = trend(days)
    assert found is not None
    assert found.per_day == pytest.approx(0, abs=1e-4)


def test_days_without_an_effect_are_left_out() -> None:
    """Four of them are too few for a slope."""
    assert trend([day(0.1), None, day(0.1), None, day(0.1), day(0.2)]) is None


def test_a_steady_lift_is_a_trend_in_five_per_cent() -> None:
    """2,000 experiments of 14 days."""
    rng = np.random.default_rng(3)
    found = [trend([day(0.1 + e) for e in rng.normal(0, 0.05, 14)]) for _ in range(2000)]
    called = sum(each is not None and each.p_value < 0.05 for each in found)
    assert binomtest(called, 2000, 0.05).pvalue > 0.001


def tappers(taps: int) -> Moments:
    """Four hundred users with a slate each; so many of them tapped."""
    return Moments.of({"taps": np.arange(400) < taps, "slates": np.ones(400)})


def test_p_values_of_slices_are_adjusted_and_those_of_days_are_not() -> None:
    """Two values of one breakdown and one of another are three questions; days are about the trend."""
    arms = {"control": tappers(100), "treatment": tappers(140)}
    moments = {
        "day": {"2026-11-02": arms},
        "category": {"Bags": arms, "Toys": arms},
        "new_user": {"new": arms},
    }
    found = break_down(moments, MEASURES["ctr"])
    assert found["day"][0].p_adjusted is None
    for each in (*found["category"], *found["new_user"]):
        assert each.arm == "treatment"
        assert each.users == 800
        assert each.effect is not None
        assert each.p_adjusted == pytest.approx(3 * each.effect.p_value)


def test_trends_are_those_of_breakdowns_over_time() -> None:
    """One for each arm; a single day is too few."""
    arms = {"control": tappers(100), "treatment": tappers(140)}
    found = break_down({"day": {"2026-11-02": arms}, "category": {"Bags": arms}}, MEASURES["ctr"])
    assert trends_of(found, ["treatment"]) == {"treatment": {"day": None}}
