"""Relevance, exact search and comparisons on a handful of photos, worked out by hand."""

import re

import ir_measures
import numpy as np
import pytest
from ir_measures import RR, P, R, Success

from ml.data.pairs import Labels
from ml.metrics.relevance import EXACT, LabelRelevance
from ml.metrics.retrieval import compare, means, nearest, random_vectors, retrieval_scores, slices_of, weakest

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
    assert scores["type@5"][3] == pytest.approx(3 / 5)
    for metric in ("p@1", "p@5", "hit@5", "recall@5", "mrr@100"):
        assert np.isnan(scores[metric]).tolist() == [False, False, True, True, True], metric


def test_exponential_gains_punish_a_wrong_top_more() -> None:
    """With the worst skirt first, 2^gain − 1 scores below gain."""
    scores = retrieval_scores(at_angles(0, 30, 20, 10, 60), LABELS)
    assert scores["ndcg_exp@5"][0] < scores["ndcg@5"][0] < 1


def test_means_of_hits_are_those_of_ir_measures() -> None:
    """Over the queries for which its judgments name a relevant photo: here, one like in all labels."""
    random = np.random.default_rng(0)
    labels = [
        Labels(*(str(random.choice(list(values))) for values in ("ST", "WM", "RGBYPK"))) for _ in range(40)
    ]
    vectors = random_vectors(40, 8)
    relevance, ranking = LabelRelevance(labels), nearest(vectors, 100)
    gains = relevance.gains(relevance.queries)
    assert 0 < (gains == EXACT).any(axis=1).sum() < 40, "some have a like and some have none"
    oracle = ir_measures.calc_aggregate(
        [P(rel=EXACT) @ 1, Success(rel=EXACT) @ 5, R(rel=EXACT) @ 5, RR(rel=EXACT)],
        [ir_measures.Qrel(str(q), str(d), EXACT) for q, d in np.argwhere(gains == EXACT)],
        [
            ir_measures.ScoredDoc(str(q), str(d), -rank)
            for q, found in enumerate(ranking)
            for rank, d in enumerate(found)
        ],
    )
    found = means(retrieval_scores(vectors, labels))
    assert found["p@1"] == pytest.approx(oracle[P(rel=EXACT) @ 1])
    assert found["hit@5"] == pytest.approx(oracle[Success(rel=EXACT) @ 5])
    assert found["recall@5"] == pytest.approx(oracle[R(rel=EXACT) @ 5])
    assert found["mrr@100"] == pytest.approx(oracle[RR(rel=EXACT)])


def three_classes() -> tuple[LabelRelevance, dict[str, np.ndarray[tuple[int, ...], np.dtype[np.int64]]]]:
    """Sixty photos of three classes, and what random directions and the classes themselves find."""
    labels = [Labels(kind) for kind in ("a", "b", "c") for _ in range(20)]
    good = np.repeat(np.eye(3, dtype=np.float32), 20, axis=0)
    return LabelRelevance(labels), {
        "random": nearest(random_vectors(60, 8), 100),
        "good": nearest(good, 100),
        "again": nearest(random_vectors(60, 8, seed=1), 100),
    }


def test_compare_gives_each_encoder_its_gain_over_the_baseline() -> None:
    """A better encoder's gain and interval are positive, and no chance; the baseline has none."""
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
    """A perfect encoder has the gain 1 / m − 1 in any draw of queries, m being the baseline's mean there."""
    relevance, rankings = three_classes()
    baseline, good, _ = compare(rankings, relevance, "random")
    low, high = baseline.intervals["ndcg@5"]
    assert good.gain_interval == pytest.approx((1 / high - 1, 1 / low - 1), rel=1e-3)


def test_a_baseline_that_finds_nothing_gives_no_gains() -> None:
    """No share of nothing; whether the difference is chance can still be told."""
    labels = [Labels("ab"[row // 20]) for row in range(40)]
    good = nearest(np.repeat(np.eye(2, dtype=np.float32), 20, axis=0), 5)
    row = compare({"worst": (good + 20) % 40, "good": good}, LabelRelevance(labels), "worst")[1]
    assert (row.gain, row.gain_interval) == (None, None)
    assert row.p == pytest.approx(1 / 10_001)


def test_a_score_that_no_query_has_is_a_dash() -> None:
    """Of photos without an exact like only the graded metrics say anything."""
    labels = [Labels("ab"[row % 2], colour=str(row)) for row in range(30)]
    (row,) = compare({"random": nearest(random_vectors(30, 8), 100)}, LabelRelevance(labels))
    assert row.text("p@1") == row.text("mrr@100") == "–"
    assert re.fullmatch(r"0\.\d{3} \(0\.\d{3}–0\.\d{3}\)", row.text("ndcg@5"))


def test_compare_scores_at_every_k_and_the_first_one_decides() -> None:
    """Metrics at 1 and 10; ten like neighbours of nineteen are 10/19 of them."""
    relevance, rankings = three_classes()
    row = compare(rankings, relevance, "random", ks=(10, 1))[1]
    assert {"ndcg@10", "ndcg_exp@1", "p@1", "p@10", "hit@10", "recall@1", "type@10", "mrr@100"} <= set(
        row.means
    )
    assert row.means["recall@10"] == pytest.approx(10 / 19)
    assert row.means["mrr@100"] == 1
    assert row.gain == pytest.approx(1 / compare(rankings, relevance, ks=(10,))[0].means["ndcg@10"] - 1)


def test_slices_hold_the_queries_of_a_value() -> None:
    """Means by value, most queries first; unanswerable queries, unknown values and small slices are out."""
    scores = np.array([1.0] * 21 + [0.0, 0.5] * 10 + [0.3] * 19 + [np.nan] * 5)
    colours = np.array(["Red"] * 21 + ["Blue"] * 20 + ["Green"] * 19 + ["Red"] * 5)
    slices = slices_of(scores, {"colour": colours, "price": np.full(65, "")})
    assert [(one.by, one.value, one.queries, one.mean) for one in slices] == [
        ("colour", "Red", 21, 1.0),
        ("colour", "Blue", 20, 0.25),
    ]
    assert weakest(slices, 1)[0].value == "Blue"


def test_scores_do_not_depend_on_how_many_queries_are_asked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of seven queries find and score what one chunk does."""
    labels = [Labels("abc"[row % 3], colour="de"[row % 2]) for row in range(60)]
    vectors = random_vectors(60, 8)
    whole = retrieval_scores(vectors, labels)
    monkeypatch.setattr("ml.metrics.retrieval.CHUNK", 7)
    for name, values in retrieval_scores(vectors, labels).items():
        assert np.array_equal(values, whole[name], equal_nan=True), name


def test_means_leave_unanswerable_queries_out() -> None:
    """A query without any relevant photo counts neither way."""
    assert means({"ndcg@5": np.array([0.5, np.nan, 1.0])}) == {"ndcg@5": 0.75}
