"""Relevance, exact search and comparisons on a handful of photos, worked out by hand."""

import numpy as np
import pytest

from ml.evaluate import compare, graded_gains, means, nearest, random_vectors, retrieval_scores
from ml.pairs import Labels

SKIRT = Labels("Skirts", "Women", "Red")
LABELS = [
    SKIRT,
    SKIRT,
    Labels("Skirts", "Women", "Blue"),
    Labels("Skirts", "Men", "Red"),
    Labels("Ties", "Men", "Red"),
]


def at_angles(*degrees: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    radians = np.deg2rad(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


def test_gains_are_graded_by_type_gender_and_colour() -> None:
    """Colour counts only where gender agrees, and gender only where the type does."""
    assert graded_gains(LABELS)[0].tolist() == [0, 3, 2, 1, 0]
    assert graded_gains(LABELS)[4].tolist() == [0, 0, 0, 0, 0]


def test_nearest_leaves_the_query_out() -> None:
    """Neighbours come by angle, and a photo is never its own."""
    assert nearest(at_angles(0, 10, 30, 80), 2).tolist() == [[1, 2], [0, 2], [1, 0], [2, 1]]


def test_a_perfect_order_scores_one() -> None:
    """Neighbours in order of gain give nDCG 1; the tie without a like has no score."""
    scores = retrieval_scores(at_angles(0, 1, 4, 12, 60), LABELS)
    assert scores["ndcg@5"][0] == pytest.approx(1)
    assert np.isnan(scores["ndcg@5"][4])
    assert np.isnan(scores["p@1"][4])
    assert scores["p@1"][:2].tolist() == [1, 1]
    assert scores["type@5"][0] == pytest.approx(3 / 5)
    assert scores["hit@5"][:4].tolist() == [1, 1, 0, 0]


def test_exponential_gains_punish_a_wrong_top_more() -> None:
    """With the worst skirt first, 2^gain − 1 scores below gain."""
    scores = retrieval_scores(at_angles(0, 30, 20, 10, 60), LABELS)
    assert scores["ndcg_exp@5"][0] < scores["ndcg@5"][0] < 1


def test_compare_gives_each_encoder_its_gain_over_the_baseline() -> None:
    """A better encoder's gain and interval are positive; the baseline has none."""
    labels = [Labels(kind) for kind in ("a", "b", "c") for _ in range(20)]
    good = np.repeat(np.eye(3, dtype=np.float32), 20, axis=0)
    rows = compare({"random": random_vectors(60, 8), "good": good}, labels, "random")
    assert [row.encoder for row in rows] == ["random", "good"]
    assert rows[0].gain is None
    assert rows[1].means["ndcg@5"] == pytest.approx(1)
    assert rows[1].gain == pytest.approx(1 / rows[0].means["ndcg@5"] - 1)
    low, high = rows[1].gain_interval or (0, 0)
    assert 0 < low < rows[1].gain < high
    assert rows[0].intervals["ndcg@5"][0] < rows[0].means["ndcg@5"] < rows[0].intervals["ndcg@5"][1]


def test_means_leave_unanswerable_queries_out() -> None:
    """A query without any relevant photo counts neither way."""
    assert means({"ndcg@5": np.array([0.5, np.nan, 1.0])}) == {"ndcg@5": 0.75}
