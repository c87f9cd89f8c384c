"""Guardrails: shown to hold, shown to be broken, or neither."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from experiments.analysis.moments import Moments
from experiments.analysis.sellers import GiniDifference, SellerArm, SellerSide, Waiting, concentration
from experiments.analysis.verdict import guardrails
from experiments.analysis.verdict.guardrails import LIMITS, State, guarded, guarded_sellers
from experiments.analysis.verdict.sequential import planned_critical_value
from experiments.assignment.definition import Guardrail

USERS = 2000
CRITICAL = 1.6449
"""Of one look: 5 % on each side."""


def shown(*, took: float = 20.0, empty: float = 0.0, complaints: float = 0.0, users: int = USERS) -> Moments:
    """An arm of users with ten slates each; rates are per slate."""
    rng = np.random.default_rng(round(took * 1000))
    slates = np.full(users, 10.0)
    return Moments.of(
        {
            "slates": slates,
            "timed_slates": slates,
            "took_ms": rng.gamma(20, took / 2, users),
            "empty_slates": rng.binomial(10, empty, users),
            "complaints": rng.binomial(10, complaints, users),
        }
    )


@pytest.mark.parametrize(
    ("guardrail", "worse"),
    [
        (Guardrail.LATENCY, {"took": 26.0}),
        (Guardrail.EMPTY_ANSWERS, {"empty": 0.03}),
        (Guardrail.COMPLAINTS, {"complaints": 0.01}),
    ],
)
def test_the_three_states(guardrail: Guardrail, worse: dict[str, float]) -> None:
    """The same as control holds; far more is worse; far more of few users is neither."""
    assert guarded(guardrail, shown(), shown(), CRITICAL).state is State.OK
    assert guarded(guardrail, shown(), shown(**worse), CRITICAL).state is State.WORSE
    assert guarded(guardrail, shown(), shown(**worse, users=99), CRITICAL).state is State.UNKNOWN


def test_a_rise_within_the_margin_holds() -> None:
    """Four per cent slower, where ten are allowed, and the figures say so."""
    reading = guarded(Guardrail.LATENCY, shown(took=20.0), shown(took=20.8), CRITICAL)
    assert reading.state is State.OK
    assert reading.relative
    assert reading.change == pytest.approx(0.04, abs=0.015)
    assert reading.control == pytest.approx(20, rel=0.02)


def test_an_interval_over_the_margin_is_not_enough_data() -> None:
    """A rise as large as the margin is neither shown to keep it nor to break it."""
    reading = guarded(Guardrail.EMPTY_ANSWERS, shown(empty=0.01), shown(empty=0.0152, took=21), CRITICAL)
    assert reading.state is State.UNKNOWN


def test_no_events_are_bounded_by_the_rule_of_three() -> None:
    """Nobody of 2,000 complained: at most 3 / 2,000 users do, ten slates each."""
    reading = guarded(Guardrail.COMPLAINTS, shown(), shown(), CRITICAL)
    assert (reading.change, reading.high) == pytest.approx((0, 0.00015), rel=2e-3)
    few = guarded(Guardrail.COMPLAINTS, shown(users=200), shown(users=200), CRITICAL)
    assert few.state is State.UNKNOWN


def test_slates_without_a_time_do_not_count_for_latency() -> None:
    """No time was logged."""
    untimed = Moments.of({"slates": np.full(USERS, 10.0)})
    assert guarded(Guardrail.LATENCY, untimed, untimed, CRITICAL).state is State.UNKNOWN


def test_an_early_look_needs_more() -> None:
    """Fifteen per cent slower is worse on the last day, and eleven undecided on the fifth of fourteen."""
    control = shown(took=20.0)
    late, early = (planned_critical_value(day, 14, guardrails.ALPHA) for day in (14, 5))
    assert guarded(Guardrail.LATENCY, control, shown(took=23.0), late).state is State.WORSE
    assert guarded(Guardrail.LATENCY, control, shown(took=22.3), early).state is State.UNKNOWN
    few = shown(users=400)
    assert guarded(Guardrail.COMPLAINTS, few, few, late).state is State.OK
    assert guarded(Guardrail.COMPLAINTS, few, few, early).state is State.UNKNOWN


def slower(users: int, days: int, factor: float, rng: np.random.Generator) -> list[Moments]:
    """An arm up to each day: ten slates a user and day, users with times of their own."""
    of_users = rng.gamma(100, factor, (users, 1))
    took = np.cumsum(of_users * rng.gamma(4, 1.0, (users, days)), axis=1)
    slates = np.tile(np.arange(10.0, 10 * days + 1, 10), (users, 1))
    return [
        Moments.of({"slates": slates[:, day], "timed_slates": slates[:, day], "took_ms": took[:, day]})
        for day in range(days)
    ]


def test_daily_looks_keep_the_error_of_a_rise_equal_to_the_margin() -> None:
    """400 experiments: "ok" and "worse" each on some day in about 5 %; at 1.64 it would be in 16 %."""
    rng, limit = np.random.default_rng(1), LIMITS[Guardrail.LATENCY].margin
    critical = [planned_critical_value(day, 14, guardrails.ALPHA) for day in range(1, 15)]
    ever, plainly = Counter[State](), Counter[State]()
    for _ in range(400):
        arms = slower(100, 14, 1.0, rng), slower(100, 14, 1 + limit, rng)
        for counts, bounds in ((ever, critical), (plainly, [CRITICAL] * 14)):
            counts.update(
                {
                    guarded(Guardrail.LATENCY, before, after, bound).state
                    for before, after, bound in zip(*arms, bounds, strict=True)
                }
            )
    assert max(ever[State.OK], ever[State.WORSE]) <= 30, ever  # 99 % of what errs in 5 %
    assert min(plainly[State.OK], plainly[State.WORSE]) > 40, plainly


def side(difference: GiniDifference, total: int = 50_000, sellers: int = 800) -> SellerSide:
    """Two arms of which the second's exposure is spread so much less evenly."""
    counts = np.bincount(np.arange(total) % sellers, minlength=sellers)
    arms = {
        name: SellerArm(concentration(counts), concentration(counts), {}, {}, Waiting(0, (0, 0, 0), 0))
        for name in ("old", "new", 1.96)
    }
    return SellerSide(sellers, arms, {"new": difference})


def test_seller_exposure() -> None:
    """The same spread holds, a far steeper one is worse, an interval over the margin is neither."""
    states = [
        guarded_sellers(side(GiniDifference(*difference)), "old", "new", 1.96).state
        for difference in ((0.0, -0.01, 0.01), (0.05, 0.03, 0.07), (0.02, 0.01, 0.03))
    ]
    assert states == [State.OK, State.WORSE, State.UNKNOWN]


def test_few_exposures_or_sellers_are_not_enough_data() -> None:
    """However clear the difference looks."""
    clear = GiniDifference(0.05, 0.03, 0.07)
    assert guarded_sellers(side(clear, total=999), "old", "new", 1.96).state is State.UNKNOWN
    assert guarded_sellers(side(clear, sellers=99), "old", "new", 1.96).state is State.UNKNOWN


@pytest.mark.parametrize(
    ("took", "state"),
    [(8.0, State.OK), (8.1, State.UNKNOWN), (7.0, State.UNKNOWN), (8.7, State.UNKNOWN), (9.0, State.WORSE)],
)
def test_constant_times_that_differ_show_nothing_within_the_margin(took: float, state: State) -> None:
    """They are no measurement; equal ones stay as they are, and a break of the margin is not ignored."""
    slates = np.full(USERS, 10.0)
    arms = [
        Moments.of({"slates": slates, "timed_slates": slates, "took_ms": slates * each})
        for each in (8.0, took)
    ]
    reading = guarded(Guardrail.LATENCY, arms[0], arms[1], CRITICAL)
    assert (reading.state, reading.varies) == (state, False)
    assert (reading.control, reading.treatment) == pytest.approx((8.0, took))
    assert reading.change == pytest.approx(took / 8 - 1)
