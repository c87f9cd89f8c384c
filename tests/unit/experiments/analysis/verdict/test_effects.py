"""Lifts and their intervals, against hand-computed numbers and tea-tasting on the users themselves."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
import tea_tasting as tt

from experiments.analysis.moments import Moments
from experiments.analysis.verdict.effects import (
    MEASURES,
    Comparison,
    Effect,
    adjusted,
    effect_of,
    narrowed_by_cuped,
)
from tests.unit.experiments.analysis.verdict.population import Population, arm, exposed

CTR, PURCHASES = MEASURES["ctr"], MEASURES["purchases"]


def of_buyers(buyers: int, users: int = 400) -> Moments:
    """Users; so many of them bought once."""
    return Moments.of({"purchases": np.arange(users) < buyers, "slates": np.ones(users)})


def test_a_mean_per_user_by_hand() -> None:
    """100 and 150 of 400 buy: a lift of a half; the variance of a mean of zeros and ones is p(1-p)/(n-1)."""
    effect = effect_of(PURCHASES, of_buyers(100), of_buyers(150))
    assert effect is not None
    error = math.sqrt(0.25 * 0.75 / 399 / 0.25**2 + 0.375 * 0.625 / 399 / 0.375**2)
    assert effect.lift == pytest.approx(0.5)
    assert effect.log_error == pytest.approx(error)
    assert (effect.low, effect.high) == pytest.approx(
        (1.5 * math.exp(-1.959964 * error) - 1, 1.5 * math.exp(1.959964 * error) - 1)
    )
    assert effect.interval(1.959964) == pytest.approx((effect.low, effect.high))


def test_a_ratio_by_hand() -> None:
    """Half of the users see 1 slate and tap it once, half see 3 and tap once: 0.5 taps a slate.

    The residuals taps - 0.5 slates are +0.5 and -0.5, so the ratio's variance is 0.25 n/(n-1) / (n 2²).
    """
    users = 200
    slates = np.where(np.arange(users) % 2, 3.0, 1.0)
    control = Moments.of({"slates": slates, "taps": np.ones(users)})
    effect = effect_of(CTR, control, control)
    assert effect is not None
    assert effect.control == pytest.approx(0.5)
    assert effect.lift == pytest.approx(0)
    assert effect.p_value == pytest.approx(1)
    assert effect.log_error == pytest.approx(math.sqrt(2 * 0.25 / (users - 1) / 4 / 0.25))


def test_the_p_value_and_the_interval_say_the_same() -> None:
    """The interval's end touches 0 at the confidence of 1 - p."""
    control, treatment = of_buyers(100), of_buyers(120)
    effect = effect_of(PURCHASES, control, treatment)
    assert effect is not None
    at_p = effect_of(PURCHASES, control, treatment, confidence=1 - effect.p_value)
    assert at_p is not None
    assert at_p.low == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("name", MEASURES)
def test_moments_agree_with_tea_tasting(name: str) -> None:
    """The same lift and interval as tea-tasting's from the table of users, with the pre-period."""
    rng, measure = np.random.default_rng(5), MEASURES[name]
    arms = [exposed(Population(ctr_lift=lift).users(4000, rng)) for lift in (0.0, 0.3)]
    users = pa.table(
        {column: np.concatenate([each[column] for each in arms]) for column in arms[0]}
        | {"variant": np.repeat([0, 1], [len(each["slates"]) for each in arms])}
    )
    metric = tt.RatioOfMeans(
        measure.numerator, measure.denominator, measure.pre_numerator, measure.pre_denominator, use_t=False
    )
    theirs = tt.Experiment({name: metric}).analyze(users)[name]
    ours = effect_of(measure, *(Moments.of(each) for each in arms))
    assert ours is not None
    assert ours.lift == pytest.approx(theirs.rel_effect_size)
    assert (ours.low, ours.high) == pytest.approx(
        (theirs.rel_effect_size_ci_lower, theirs.rel_effect_size_ci_upper)
    )


def test_without_a_pre_period_nothing_is_adjusted() -> None:
    """CUPED says nothing, and the lift is the plain one, which is that of the totals."""
    control, treatment = of_buyers(100), of_buyers(150)
    assert narrowed_by_cuped(PURCHASES, control, treatment) is None
    effect = effect_of(PURCHASES, control, treatment)
    assert effect is not None
    assert effect.treatment / effect.control - 1 == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("control", "treatment"),
    [(of_buyers(100), of_buyers(10)), (of_buyers(0), of_buyers(100)), (of_buyers(50, 99), of_buyers(100))],
    ids=["few events", "no events", "few users"],
)
def test_too_few_events_have_no_interval(control: Moments, treatment: Moments) -> None:
    """Nothing is better than a normal approximation of next to nothing."""
    assert effect_of(PURCHASES, control, treatment) is None


def test_an_arm_without_users_has_no_interval() -> None:
    """An arm that nobody saw."""
    assert (
        effect_of(CTR, Moments.of({"slates": np.zeros(0)}), arm(Population(), 500, np.random.default_rng(0)))
        is None
    )


def test_users_who_do_not_vary_have_no_interval() -> None:
    """No variance, no error, no sentence."""
    alike = Moments.of({"slates": np.full(200, 2.0), "taps": np.ones(200)})
    assert effect_of(CTR, alike, alike) is None


def test_an_unrelated_covariate_adjusts_nothing() -> None:
    """Before the start every slate was tapped: the ratio does not vary."""
    seen = np.tile([1.0, 2.0], 200)
    now = {"slates": np.full(400, 2.0), "taps": np.tile([0.0, 1.0, 1.0, 2.0], 100)}
    arm_of = Moments.of(now | {"pre_slates": seen, "pre_taps": seen})
    effect = effect_of(CTR, arm_of, arm_of)
    assert effect is not None
    assert effect.control == pytest.approx(0.5)
    assert narrowed_by_cuped(CTR, arm_of, arm_of) == pytest.approx(0)


def compared(p_value: float | None) -> Comparison:
    """A comparison with a p-value, or without an effect."""
    effect = None if p_value is None else Effect(1.0, 1.0, 0.0, -1.0, 1.0, p_value, 1.0)
    return Comparison(arm="new", effect=effect, constant=None)


def test_holm_steps_down_over_the_comparisons_with_an_effect() -> None:
    """3 × 0.01, then 2 × 0.03, then 0.04, which may not be below its predecessor."""
    found = [each.p_adjusted for each in adjusted([compared(p) for p in (0.01, None, 0.04, 0.03)])]
    assert found == pytest.approx([0.03, None, 0.06, 0.06])


def test_an_adjusted_p_value_is_at_most_one() -> None:
    """2 × 0.8 would be 1.6; without comparisons there is nothing to adjust."""
    assert [each.p_adjusted for each in adjusted([compared(0.8), compared(0.9)])] == [1.0, 1.0]
    assert adjusted([]) == []
