"""Exact search and scores on a handful of photos, worked out by hand."""

import ir_measures
import numpy as np
import pytest
from ir_measures import RR, P, R, Success

from ml.data.pairs import Labels
from ml.metrics.relevance import EXACT, LabelRelevance
from ml.metrics.retrieval import means, nearest, random_vectors, retrieval_scores, title_scores

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
    """Neighbours are sorted by angle, and a photo is not its own neighbour."""
    assert nearest(at_angles(0, 10, 30, 80), 2).tolist() == [[1, 2], [0, 2], [1, 0], [2, 1]]


def test_a_perfect_order_scores_one() -> None:
    """Neighbours in order of gain give nDCG 1; the tie, the only one, has no score."""
    scores = retrieval_scores(at_angles(0, 1, 4, 12, 60), LABELS)
    assert scores["ndcg@5"][0] == pytest.approx(1)
    assert np.isnan(scores["ndcg@5"][4])
    assert np.isnan(scores["p@1"][4])
    assert scores["p@1"][:2].tolist() == [1, 1]
    assert scores["type@5"][0] == pytest.approx(3 / 5)
    assert scores["type@5"][3] == pytest.approx(3 / 5)
    for metric in ("p@1", "p@5", "hit@5", "recall@5", "mrr@100"):
        assert np.isnan(scores[metric]).tolist() == [False, False, True, True, True], metric


def test_exponential_gains_penalise_a_wrong_top_more() -> None:
    """With the least relevant skirt first, ndcg_exp is below ndcg."""
    scores = retrieval_scores(at_angles(0, 30, 20, 10, 60), LABELS)
    assert scores["ndcg_exp@5"][0] < scores["ndcg@5"][0] < 1


def test_means_of_hits_equal_those_of_ir_measures() -> None:
    """ir-measures averages over the queries with a relevant photo: here, one with equal labels."""
    random = np.random.default_rng(0)
    labels = [
        Labels(*(str(random.choice(list(values))) for values in ("ST", "WM", "RGBYPK"))) for _ in range(40)
    ]
    vectors = random_vectors(40, 8)
    relevance, ranking = LabelRelevance(labels), nearest(vectors, 100)
    gains = relevance.gains(relevance.queries)
    assert 0 < (gains == EXACT).any(axis=1).sum() < 40, "some queries have a hit and some have none"
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


def test_scores_do_not_depend_on_the_chunk_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of seven queries give the same scores as a single chunk."""
    labels = [Labels("abc"[row % 3], colour="de"[row % 2]) for row in range(60)]
    vectors = random_vectors(60, 8)
    whole = retrieval_scores(vectors, labels)
    monkeypatch.setattr("ml.metrics.retrieval.CHUNK", 7)
    for name, values in retrieval_scores(vectors, labels).items():
        assert np.array_equal(values, whole[name], equal_nan=True), name


def test_means_ignore_queries_without_a_score() -> None:
    """NaN is ignored."""
    assert means({"ndcg@5": np.array([0.5, np.nan, 1.0])}) == {"ndcg@5": 0.75}


def test_titles_are_scored_by_their_own_photo_and_its_type(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve photos on a circle; every title but the last is at its photo, that one opposite its own."""
    monkeypatch.setattr("ml.metrics.retrieval.CHUNK", 5)
    angles = np.arange(12) * 2 * np.pi / 12
    photos = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    titles = photos.copy()
    titles[11] = -photos[11]
    labels = [Labels("a" if row < 6 else "b") for row in range(12)]
    found = title_scores(titles, photos, labels)
    assert found["own_photo@10"] == pytest.approx(11 / 12)
    near = [[(row + step) % 12 for step in (-2, -1, 0, 1, 2)] for row in [*range(11), 5]]
    types = [[labels[one].type == labels[row].type for one in five] for row, five in enumerate(near)]
    assert found["title_type@5"] == pytest.approx(np.mean(types))


@pytest.mark.parametrize("value", [0.5, np.nan])
def test_titles_that_are_like_every_photo_find_none(value: float) -> None:
    """Equally near, or not a number."""
    titles, photos = np.full((12, 4), value, np.float32), np.full((12, 4), 0.5, np.float32)
    assert title_scores(titles, photos, [Labels("a")] * 12)["own_photo@10"] == 0
