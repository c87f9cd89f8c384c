"""Each formula of the analysis at the edges of its inputs: finite, NaN where it says so, never an error."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.percentage import percent
from experiments.analysis.charts import ForestRow, forest_chart, lift_limits, parts_chart
from experiments.analysis.moments import COLUMNS, Moments
from experiments.analysis.offline.clustered import compare
from experiments.analysis.offline.propensity import Source, propensities, tap_weights
from experiments.analysis.offline.slates import BLOCKS, Exposures
from experiments.analysis.plan.baseline import Baseline, baseline_of
from experiments.analysis.plan.plan import Plan
from experiments.analysis.sellers import concentration, gini_difference
from experiments.analysis.verdict.breakdowns import trend
from experiments.analysis.verdict.effects import (
    MEASURES,
    Effect,
    constant_of,
    effect_of,
    lift_of,
    narrowed_by_cuped,
)
from experiments.analysis.verdict.guardrails import LIMITS, guarded
from experiments.analysis.verdict.missing_assignment import missing_assignment, slates_alike
from experiments.analysis.verdict.sample_ratio import sample_ratio
from experiments.analysis.verdict.sequential import FARTHEST, critical_values
from experiments.analysis.verdict.wording import figure, probability
from experiments.assignment.definition import Guardrail
from experiments.errors import NoBaseline
from ml.metrics.ranking import ratio_interval
from ml.metrics.significance import holm
from tests.factories import make_experiment

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")
FEW = st.integers(0, 3)
COUNTS = st.integers(0, 10**9)
AMOUNTS = st.sampled_from([0.0, 0.1, 1.0, 8.0, 1e-300, 1e6, 1e12])
FINITE = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def arms(draw: st.DrawFn) -> Moments:
    """An arm whose totals repeat after one to three users; often they do not vary."""
    users, period = draw(st.sampled_from([0, 1, 2, 100, 2000])), draw(st.integers(1, 3))
    columns = {}
    for name in COLUMNS:
        values = draw(
            st.lists(AMOUNTS if name in ("spend", "took_ms") else FEW, min_size=period, max_size=period)
        )
        columns[name] = np.resize(np.array(values, dtype=float), users)
    return Moments.of(columns)


def is_finite(effect: Effect) -> bool:
    return all(map(math.isfinite, vars(effect).values()))


@given(arms(), arms(), st.sampled_from(sorted(MEASURES)))
def test_effects(control: Moments, treatment: Moments, name: str) -> None:
    """An interval around the lift, or none; never both an effect and a constant."""
    measure = MEASURES[name]
    effect, constant = (of(measure, control, treatment) for of in (effect_of, constant_of))
    assert effect is None or constant is None
    narrowed = narrowed_by_cuped(measure, control, treatment)
    assert narrowed is None or math.isfinite(narrowed)
    if effect is not None:
        assert is_finite(effect)
        assert effect.low <= effect.lift <= effect.high
        assert effect.log_error > 0
        assert 0 <= effect.p_value <= 1
        assert all(map(math.isfinite, effect.interval(FARTHEST)))


@given(arms(), arms(), st.sampled_from(sorted(LIMITS)), st.floats(0.1, FARTHEST))
def test_guardrails(control: Moments, treatment: Moments, guardrail: Guardrail, critical: float) -> None:
    """The change within its interval, or nothing."""
    reading = guarded(guardrail, control, treatment, critical)
    if reading.change is not None and reading.low is not None and reading.high is not None:
        assert reading.low <= reading.change <= reading.high
        assert math.isfinite(reading.high)
        assert reading.varies or not reading.relative or reading.low == reading.high


@given(st.lists(st.none() | st.tuples(st.floats(1e-9, 1e9), st.floats(1e-12, 1e12)), max_size=12))
def test_trends(days: list[tuple[float, float] | None]) -> None:
    """Through lifts of any size, known to any precision."""
    effects = [None if day is None else Effect(1.0, day[0], 0.0, 0.0, 0.0, 0.5, day[1]) for day in days]
    found = trend(effects)
    assert found is None or all(map(math.isfinite, vars(found).values()))


@given(st.lists(st.floats(1e-24, 1e24), min_size=1, max_size=20), st.integers(1, 182))
def test_daily_looks(information: list[float], planned: int) -> None:
    """Whatever information a day brings, or takes away."""
    found = critical_values(range(1, len(information) + 1), information, planned)
    assert np.isfinite(found).all()
    assert (found > 0).all()


@given(
    st.lists(st.integers(0, 10**9), min_size=2, max_size=4),
    st.lists(st.integers(0, 10**9), min_size=4, max_size=4),
)
def test_samples(users: list[int], lost: list[int]) -> None:
    """No user in an arm, or in any; no slate lost, or all."""
    names = [f"arm{number}" for number in range(len(users))]
    ratio = sample_ratio(dict(zip(names, users, strict=True)), dict.fromkeys(names, 1.0))
    assert 0 <= ratio.p_value <= 1
    slates = missing_assignment(dict(zip(names, lost, strict=False)), dict(zip(names, users, strict=True)))
    assert 0 <= slates.p_value <= 1
    assert all(0 <= share <= 1 for share in slates.shares.values())


@given(st.lists(arms(), min_size=2, max_size=2))
def test_slates_alike(both: list[Moments]) -> None:
    """A design effect is at least 1."""
    assert 1 <= slates_alike(both) < math.inf


@given(arms(), st.sampled_from(["ctr", "cvr_clicks", "cvr_views", "purchases"]))
def test_plans(users: Moments, name: str) -> None:
    """From any users, or in one sentence from none."""
    try:
        baseline = baseline_of(users, MEASURES[name], (10.0,), "a log")
    except NoBaseline:
        return
    plan = Plan(make_experiment(), baseline)
    assert plan.users_needed(0.1, 14, cuped=True) > 0
    assert math.isfinite(plan.detectable_effect(100, 14, cuped=True))
    assert baseline.correlation is None or abs(baseline.correlation) <= 1 + 1e-9


def test_a_covariate_that_explains_everything_is_not_used() -> None:
    """Users who do just what they did before leave CUPED no variance, and the plan no users."""
    taps = np.resize([0.0, 1.0, 3.0], 300)
    same = {"slates": np.full(300, 4.0), "taps": taps, "pre_slates": np.full(300, 4.0), "pre_taps": taps}
    users = Moments.of(same)
    assert baseline_of(users, MEASURES["ctr"], (10.0,), "a log").correlation is None
    assert effect_of(MEASURES["ctr"], users, users) == effect_of(MEASURES["ctr"].plain, users, users)


def test_a_correlation_beyond_one_by_rounding_leaves_nothing() -> None:
    """And no negative variance."""
    assert Baseline(0.1, 1.0, (1.0,), "", True, 1 + 1e-12).adjusted_variance == 0


@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=6), st.lists(st.integers(0, 5), min_size=6, max_size=6)
)
def test_sellers(shown: list[int], others: list[int]) -> None:
    """One seller, or none of them shown: NaN where there is nothing to spread."""
    counts, control = np.array(shown), np.array(others[: len(shown)])
    spread = concentration(counts)
    assert math.isfinite(spread.gini) is bool(counts.any())
    found = gini_difference(counts, control, np.random.default_rng(0), 20)
    assert math.isfinite(found.low) is bool(counts.any() and control.any())


@given(st.lists(st.floats(0, 1) | st.just(math.nan), max_size=8))
def test_holm(p_values: list[float]) -> None:
    """NaN stays NaN and makes the others no larger."""
    known = [p for p in p_values if not math.isnan(p)]
    adjusted = holm(p_values)
    assert [math.isnan(p) for p in adjusted] == [math.isnan(p) for p in p_values]
    assert [p for p in adjusted if not math.isnan(p)] == holm(known)


@given(FINITE, st.lists(FINITE.map(lift_of), max_size=3))
def test_the_limits_of_an_axis(one: float, values: list[float]) -> None:
    """No range, and the whole range of floats."""
    effects = [Effect(1, 1, lift, min(lift, 0), max(lift, 0), 1, 1) for lift in values]
    low, high = lift_limits(effects, also=(max(-1.0, min(one, 1e300)),))
    assert math.isfinite(low)
    assert low < high < math.inf


@pytest.mark.parametrize("lift", [1e-300, 1e5, 1e100, 1e300])
def test_charts_draw_lifts_of_any_size(lift: float) -> None:
    """Axis labels of extreme lifts do not fail."""
    effects = [Effect(1, 1, lift, -lift, 2 * lift, 1, 1), None]
    assert "<svg" in forest_chart("Lift", [ForestRow("metric", each) for each in effects])
    assert "<svg" in parts_chart("Lift", ["1", "2"], effects)


@given(st.floats(), st.floats(0, 1))
def test_words(value: float, p: float) -> None:
    """No figure is longer than a line, and none is called nan or inf."""
    for text in (percent(value), percent(value, signed=False), figure(value), probability(p)):
        assert len(text) < 30
        assert "nan" not in text
        assert "inf" not in text


@given(st.integers(0, 300), st.booleans(), st.integers(1, 4))
def test_propensities(taps: int, one_user: bool, positions: int) -> None:
    """Positions never tapped have no figure, and take the weight of a neighbour."""
    position = np.arange(1, positions + 1)
    cells = len(position)
    block = np.zeros(cells, dtype=np.int64) if one_user else np.arange(cells) % BLOCKS
    tapped = np.where(position == positions, taps, 0)
    exposures = Exposures(block, np.zeros(cells, dtype=np.int64), position, tapped + 1, tapped)
    found = propensities(exposures, Source.SHUFFLED)
    if found is not None:
        weights = tap_weights(found, np.array([[0, *position.tolist()]]), 20.0)
        assert np.isfinite(weights).all()
        assert (weights <= 20).all()


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0, math.nan]), min_size=1, max_size=6), st.integers(1, 2))
def test_offline_rows(scores: list[float], users: int) -> None:
    """One user, scores of 0, and none at all."""
    own, base = np.array(scores), np.zeros(len(scores))
    codes = np.arange(len(scores)) % users
    first, second = compare(
        {"base": {"ndcg": base}, "own": {"ndcg": own}}, codes, "base", weights=np.ones(len(scores))
    )
    assert first.p is None
    assert (second.p is None) is bool(np.isnan(own).all())
    assert second.gain is None, "a ratio to 0 is undefined"


def test_a_ratio_of_no_common_query_is_nan() -> None:
    """Each encoder has a score where the other has none."""
    found = ratio_interval(np.array([1.0, np.nan]), np.array([np.nan, 1.0]))
    assert np.isnan(found).all()
