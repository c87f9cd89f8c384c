"""Comparisons of encoders on a handful of photos, worked out by hand."""

import re

import numpy as np
import pytest

from ml.data.pairs import Labels
from ml.evaluation.rows import compare, slices_of, weakest
from ml.metrics.relevance import LabelRelevance
from ml.metrics.retrieval import nearest, random_vectors


def three_classes() -> tuple[LabelRelevance, dict[str, np.ndarray[tuple[int, ...], np.dtype[np.int64]]]]:
    """Sixty photos of three classes, and rankings by random vectors and by class."""
    labels = [Labels(kind) for kind in ("a", "b", "c") for _ in range(20)]
    good = np.repeat(np.eye(3, dtype=np.float32), 20, axis=0)
    return LabelRelevance(labels), {
        "random": nearest(random_vectors(60, 8), 100),
        "good": nearest(good, 100),
        "again": nearest(random_vectors(60, 8, seed=1), 100),
    }


def test_compare_gives_each_encoder_its_gain_over_the_baseline() -> None:
    """A better encoder has a positive, significant gain; the baseline has none."""
    relevance, rankings = three_classes()
    rows = compare(rankings, relevance, "random")
    assert [row.encoder for row in rows] == ["random", "good", "again"]
    assert rows[0].gain is None
    assert rows[0].p is None
    assert rows[1].means["ndcg@5"] == pytest.approx(1)
    assert rows[1].gain == pytest.approx(1 / rows[0].means["ndcg@5"] - 1)
    low, high = rows[1].gain_interval or (0, 0)
    assert 0 < low < rows[1].gain < high
    assert rows[0].intervals["ndcg@5"][0] < rows[0].means["ndcg@5"] < rows[0].intervals["ndcg@5"][1]
    assert rows[1].p == pytest.approx(1 / 10_001)
    assert rows[1].p_holm == pytest.approx(2 / 10_001), "two encoders were compared"
    assert rows[2].p is not None
    assert rows[2].p > 0.05


def test_gains_vary_with_the_baseline_as_well() -> None:
    """A perfect encoder has the gain 1 / m − 1 in every resample, where m is the baseline's mean."""
    relevance, rankings = three_classes()
    baseline, good, _ = compare(rankings, relevance, "random")
    low, high = baseline.intervals["ndcg@5"]
    assert good.gain_interval == pytest.approx((1 / high - 1, 1 / low - 1), rel=1e-3)


def test_a_baseline_with_the_mean_0_gives_no_gains() -> None:
    """The ratio is undefined, but the test of the difference is not."""
    labels = [Labels("ab"[row // 20]) for row in range(40)]
    good = nearest(np.repeat(np.eye(2, dtype=np.float32), 20, axis=0), 5)
    row = compare({"worst": (good + 20) % 40, "good": good}, LabelRelevance(labels), "worst")[1]
    assert (row.gain, row.gain_interval) == (None, None)
    assert row.p == pytest.approx(1 / 10_001)


def test_a_score_that_no_query_has_is_a_dash() -> None:
    """Without photos of equal labels only graded metrics have scores."""
    labels = [Labels("ab"[row % 2], colour=str(row)) for row in range(30)]
    (row,) = compare({"random": nearest(random_vectors(30, 8), 100)}, LabelRelevance(labels))
    assert row.text("p@1") == row.text("mrr@100") == "–"
    assert re.fullmatch(r"0\.\d{3} \(0\.\d{3}–0\.\d{3}\)", row.text("ndcg@5"))


def test_compare_scores_at_every_k_and_the_first_one_decides() -> None:
    """Metrics at 1 and 10; ten of nineteen photos of the same class are found."""
    relevance, rankings = three_classes()
    row = compare(rankings, relevance, "random", ks=(10, 1))[1]
    assert {"ndcg@10", "ndcg_exp@1", "p@1", "p@10", "hit@10", "recall@1", "type@10", "mrr@100"} <= set(
        row.means
    )
    assert row.means["recall@10"] == pytest.approx(10 / 19)
    assert row.means["mrr@100"] == 1
    assert row.gain == pytest.approx(1 / compare(rankings, relevance, ks=(10,))[0].means["ndcg@10"] - 1)


def test_slices_hold_the_queries_of_a_value() -> None:
    """Largest first; queries without a score, unknown values and small slices are ignored."""
    scores = np.array([1.0] * 21 + [0.0, 0.5] * 10 + [0.3] * 19 + [np.nan] * 5)
    colours = np.array(["Red"] * 21 + ["Blue"] * 20 + ["Green"] * 19 + ["Red"] * 5)
    slices = slices_of(scores, {"colour": colours, "price": np.full(65, "")})
    assert [(one.by, one.value, one.queries, one.mean) for one in slices] == [
        ("colour", "Red", 21, 1.0),
        ("colour", "Blue", 20, 0.25),
    ]
    assert weakest(slices, 1)[0].value == "Blue"
