"""Metrics against numbers worked out by hand, and against ir-measures."""

import tracemalloc

import ir_measures
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.metrics.ranking import (
    bootstrap_interval,
    dcg_at_k,
    hit_rate_at_k,
    mean,
    ndcg_at_k,
    precision_at_k,
    ratio_interval,
    recall_at_k,
    reciprocal_rank,
)


def test_dcg_by_hand() -> None:
    """3 at rank 1, 0 at rank 2, 2 at rank 3: 3 / log2(2) + 2 / log2(4) = 4."""
    assert dcg_at_k(np.array([[3, 0, 2]]), 5)[0] == pytest.approx(4.0)


def test_ndcg_by_hand() -> None:
    """The ideal order of 3, 2, 0 gives 3 + 2 / log2(3) = 4.26186, so 4 becomes 0.93855."""
    gains = np.array([[3, 0, 2]])
    assert ndcg_at_k(gains, gains, 5)[0] == pytest.approx(4 / 4.2618595)


def test_ndcg_counts_what_the_ranking_missed() -> None:
    """Relevant candidates below the ranking lower the score."""
    assert ndcg_at_k(np.array([[1]]), np.array([[0, 1, 3]]), 1)[0] == pytest.approx(1 / 3)


def test_ndcg_without_a_relevant_candidate_is_nan() -> None:
    """Such queries are ignored in means, not counted as 0."""
    assert np.isnan(ndcg_at_k(np.array([[0, 0]]), np.array([[0, 0]]), 2)[0])


def test_precision_and_hit_rate_by_hand() -> None:
    """One of the first two is relevant: precision 0.5, hit 1; missing ranks count as misses."""
    relevant, total = np.array([[False, True, True], [False, False, True]]), np.array([2, 1])
    assert precision_at_k(relevant, total, 2).tolist() == [0.5, 0.0]
    assert hit_rate_at_k(relevant, total, 2).tolist() == [1.0, 0.0]
    assert precision_at_k(relevant, total, 6)[0] == pytest.approx(2 / 6)


def test_recall_by_hand() -> None:
    """Two of four relevant candidates are among the first three."""
    assert recall_at_k(np.array([[True, False, True, True]]), np.array([4]), 3).tolist() == [0.5]


def test_reciprocal_rank_by_hand() -> None:
    """First hit at rank 1, at rank 3, and below the ranking."""
    relevant = np.array([[True, True, False], [False, False, True], [False, False, False]])
    assert reciprocal_rank(relevant, np.array([2, 1, 4])) == pytest.approx([1, 1 / 3, 0])


def test_a_query_without_a_relevant_candidate_has_no_score() -> None:
    """All four ignore the same queries, so their means are comparable."""
    relevant, total = np.array([[True, False], [False, False]]), np.array([1, 0])
    for scores in (
        precision_at_k(relevant, total, 1),
        hit_rate_at_k(relevant, total, 1),
        recall_at_k(relevant, total, 1),
        reciprocal_rank(relevant, total),
    ):
        assert scores[0] == 1
        assert np.isnan(scores[1])


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), candidates=st.integers(2, 15), k=st.integers(1, 12))
def test_agrees_with_ir_measures(seed: int, candidates: int, k: int) -> None:
    """Every metric of random rankings equals that of ir-measures, query by query."""
    random = np.random.default_rng(seed)
    gains = random.integers(0, 4, size=(6, candidates))
    gains[:, 0] = 1  # ir-measures gives 0 and not NaN where nothing is relevant
    order = np.stack([random.permutation(candidates) for _ in gains])
    ranked = np.take_along_axis(gains, order, axis=1)
    hits, total = ranked > 0, (gains > 0).sum(axis=1)
    ours = {
        ir_measures.nDCG @ k: ndcg_at_k(ranked, gains, k),
        ir_measures.P(rel=1) @ k: precision_at_k(hits, total, k),
        ir_measures.Success(rel=1) @ k: hit_rate_at_k(hits, total, k),
        ir_measures.R(rel=1) @ k: recall_at_k(hits, total, k),
        ir_measures.RR(rel=1): reciprocal_rank(hits, total),
    }
    oracle = oracle_values(list(ours), gains, order)
    for measure, values in ours.items():
        assert values == pytest.approx([oracle[f"q{q}", str(measure)] for q in range(len(gains))])


def oracle_values(
    measures: list[ir_measures.Measure],
    gains: np.ndarray[tuple[int, ...], np.dtype[np.int64]],
    order: np.ndarray[tuple[int, ...], np.dtype[np.int64]],
) -> dict[tuple[str, str], float]:
    """Values of ir-measures by query and measure."""
    qrels = [
        ir_measures.Qrel(f"q{q}", f"d{d}", int(gain))
        for q, row in enumerate(gains)
        for d, gain in enumerate(row)
    ]
    run = [
        ir_measures.ScoredDoc(f"q{q}", f"d{d}", float(-rank))
        for q, row in enumerate(order)
        for rank, d in enumerate(row)
    ]
    found = ir_measures.iter_calc(measures, qrels, run)
    return {(metric.query_id, str(metric.measure)): metric.value for metric in found}


def test_bootstrap_interval_contains_the_mean_and_shrinks_with_queries() -> None:
    """NaN is ignored."""
    few = np.array([0.0, 1.0] * 10 + [np.nan])
    low, high = bootstrap_interval(few)
    assert low < 0.5 < high
    many_low, many_high = bootstrap_interval(np.tile(few, 50))
    assert many_high - many_low < (high - low) / 4
    # The standard error of a mean of 1,000 coins is 0.0158; the interval spans 2 × 1.96 of them.
    assert many_high - many_low == pytest.approx(0.062, abs=0.006)


def test_without_scores_mean_and_interval_are_nan() -> None:
    """And NumPy does not warn."""
    nothing = np.array([np.nan, np.nan])
    assert np.isnan([mean(nothing), *bootstrap_interval(nothing)]).all()


def test_a_bootstrap_of_many_queries_takes_little_memory() -> None:
    """Drawn at once, 2,000 resamples of 20,000 queries would take 640 MB."""
    scores = np.random.default_rng(0).random(20_000)
    tracemalloc.start()
    low, high = bootstrap_interval(scores)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert low < scores.mean() < high
    assert peak < 64 * 2**20


def test_intervals_do_not_depend_on_how_much_is_drawn_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of seven resamples draw the same queries as a single chunk."""
    scores = np.random.default_rng(0).random(30)
    whole = bootstrap_interval(scores)
    monkeypatch.setattr("ml.metrics.ranking.DRAWN_AT_ONCE", 7 * 30)
    assert bootstrap_interval(scores) == whole


def test_the_interval_of_a_ratio_varies_with_both_means() -> None:
    """Doubled scores have the ratio 2 in every resample; independent scores vary."""
    random = np.random.default_rng(0)
    others, scores = random.uniform(0, 1, 1000), random.uniform(0, 1, 1000)
    others[0] = np.nan
    assert ratio_interval(2 * others, others) == pytest.approx((2, 2))
    low, high = ratio_interval(scores, others)
    assert low < np.nanmean(scores[1:]) / np.nanmean(others) < high
    # Relative variances of both means add up: 2 × 1.96 × √(2 × (1/12) / (1/4) / 1,000).
    assert high - low == pytest.approx(0.101, abs=0.01)


def test_a_ratio_to_a_mean_near_zero_is_nan() -> None:
    """With one query of ten above 0, every third resample has the mean 0."""
    assert np.isnan(ratio_interval(np.ones(10), np.eye(10)[0])).all()
