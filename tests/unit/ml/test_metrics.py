"""Metrics against numbers worked out by hand, and against ir-measures."""

import ir_measures
import numpy as np
import pytest

from ml.metrics import bootstrap_interval, dcg_at_k, hit_rate_at_k, ndcg_at_k, precision_at_k


def test_dcg_by_hand() -> None:
    """3 at rank 1, 0 at rank 2, 2 at rank 3: 3 / log2(2) + 2 / log2(4) = 4."""
    assert dcg_at_k(np.array([[3, 0, 2]]), 5)[0] == pytest.approx(4.0)


def test_ndcg_by_hand() -> None:
    """The best order of 3, 2, 0 gives 3 + 2 / log2(3) = 4.26186, so 4 becomes 0.93855."""
    gains = np.array([[3, 0, 2]])
    assert ndcg_at_k(gains, gains, 5)[0] == pytest.approx(4 / 4.2618595)


def test_ndcg_counts_what_the_ranking_missed() -> None:
    """Gains among the candidates that the ranking never showed lower it."""
    assert ndcg_at_k(np.array([[1]]), np.array([[0, 1, 3]]), 1)[0] == pytest.approx(1 / 3)


def test_ndcg_without_anything_relevant_is_no_number() -> None:
    """A query that nothing answers is left out of means, not counted as a failure."""
    assert np.isnan(ndcg_at_k(np.array([[0, 0]]), np.array([[0, 0]]), 2)[0])


def test_precision_and_hit_rate_by_hand() -> None:
    """One of the first two is relevant: half precise, one hit; a short ranking's missing ranks are misses."""
    relevant = np.array([[False, True, True], [False, False, True]])
    assert precision_at_k(relevant, 2).tolist() == [0.5, 0.0]
    assert hit_rate_at_k(relevant, 2).tolist() == [1.0, 0.0]
    assert precision_at_k(relevant, 6)[0] == pytest.approx(2 / 6)


@pytest.mark.parametrize("k", [1, 3, 5, 10])
def test_agrees_with_ir_measures(k: int) -> None:
    """nDCG, precision and success of random rankings equal those of ir-measures, query by query."""
    random = np.random.default_rng(k)
    gains = random.integers(0, 4, size=(20, 12))
    gains[:, 0] = 1  # ir-measures gives 0 and not NaN where nothing is relevant
    order = np.stack([random.permutation(12) for _ in gains])
    ranked = np.take_along_axis(gains, order, axis=1)
    qrels = [
        ir_measures.Qrel(f"q{q:02}", f"d{d}", int(gain))
        for q, row in enumerate(gains)
        for d, gain in enumerate(row)
    ]
    run = [
        ir_measures.ScoredDoc(f"q{q:02}", f"d{d}", float(-rank))
        for q, row in enumerate(order)
        for rank, d in enumerate(row)
    ]
    measures = [ir_measures.nDCG @ k, ir_measures.P(rel=1) @ k, ir_measures.Success(rel=1) @ k]
    expected = {
        (metric.query_id, str(metric.measure)): metric.value
        for metric in ir_measures.iter_calc(measures, qrels, run)
    }
    ours = [ndcg_at_k(ranked, gains, k), precision_at_k(ranked > 0, k), hit_rate_at_k(ranked > 0, k)]
    for measure, values in zip(measures, ours, strict=True):
        oracle = [expected[f"q{q:02}", str(measure)] for q in range(len(gains))]
        assert values == pytest.approx(oracle)


def test_bootstrap_interval_holds_the_mean_and_shrinks_with_queries() -> None:
    """The interval lies around the mean, is narrower for more queries, and leaves NaN out."""
    few = np.array([0.0, 1.0] * 10 + [np.nan])
    low, high = bootstrap_interval(few)
    assert low < 0.5 < high
    many_low, many_high = bootstrap_interval(np.tile(few, 50))
    assert many_high - many_low < (high - low) / 4
    # The standard error of a mean of 1,000 coins is 0.0158; the interval spans 2 × 1.96 of them.
    assert many_high - many_low == pytest.approx(0.062, abs=0.006)
