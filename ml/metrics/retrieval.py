"""Retrieval quality of vectors: exact search, scores per query and their means."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ml.data.pairs import Labels
from ml.metrics.ranking import (
    Scores,
    hit_rate_at_k,
    mean,
    ndcg_at_k,
    precision_at_k,
    recall_at_k,
    reciprocal_rank,
)
from ml.metrics.relevance import LabelRelevance, Relevance

Vectors = NDArray[np.float32]
Ranking = NDArray[np.int64]
"""(n, ranks) int64 row numbers of the photos found for each photo, nearest first."""

DEPTH: Final = 5
"""Default k."""
RANKS: Final = 100
"""Ranks that are scored; a hit further down counts as 0 in mrr@100."""
CHUNK: Final = 512
"""Queries at a time, so that memory grows linearly with the photos searched."""


def nearest(vectors: Vectors, count: int, queries: Vectors | None = None) -> Ranking:
    """(n, ≤ count) int64 rows of the vectors (n, d) float32 nearest to each by dot product, without itself.

    queries: (n, d) float32, vectors to search with instead of the vectors themselves.
    """
    searching = vectors if queries is None else queries
    ranked = []
    for start in range(0, len(vectors), CHUNK):
        similarity = searching[start : start + CHUNK] @ vectors.T
        own = np.arange(len(similarity))
        similarity[own, start + own] = -np.inf
        ranked.append(np.argsort(-similarity, axis=1, kind="stable")[:, : min(count, len(vectors) - 1)])
    return np.concatenate(ranked)


def scores_of(ranking: Ranking, relevance: Relevance, ks: Sequence[int] = (DEPTH,)) -> dict[str, Scores]:
    """Scores (q,) float64 of the queries of `relevance`, by metric; NaN where nothing relevant exists.

    ranking: (n, ranks) int64. ndcg@k uses linear gains, ndcg_exp@k 2^gain − 1 (Burges et al., 2005). p@k,
    hit@k, recall@k and mrr@100 count hits: the same type, gender and colour for labels, any gain for
    judgments. type@k, for labels only, is the share of the same type. A query whose candidates all have gains
    below a hit has an nDCG, but no p@k, hit@k, recall@k or mrr@100.
    """
    starts = range(0, len(relevance.queries), CHUNK)
    parts = [
        chunk_scores(ranking, relevance, relevance.queries[start : start + CHUNK], ks) for start in starts
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def chunk_scores(
    ranking: Ranking, relevance: Relevance, queries: NDArray[np.int64], ks: Sequence[int]
) -> dict[str, Scores]:
    """The scores (b,) float64 by metric of some of the queries, (b,) int64: see scores_of."""
    gains = relevance.gains(queries)
    ranked = np.take_along_axis(gains, ranking[queries], axis=1)
    hits, total = ranked >= relevance.hit, (gains >= relevance.hit).sum(axis=1)
    same_type, same_type_total = ranked > 0, (gains > 0).sum(axis=1)
    scores: dict[str, Scores] = {}
    for k in ks:
        scores[f"ndcg@{k}"] = ndcg_at_k(ranked, gains, k)
        scores[f"ndcg_exp@{k}"] = ndcg_at_k(2**ranked - 1, 2**gains - 1, k)
    for k in dict.fromkeys((1, *ks)):
        scores[f"p@{k}"] = precision_at_k(hits, total, k)
    for k in ks:
        scores[f"hit@{k}"] = hit_rate_at_k(hits, total, k)
        scores[f"recall@{k}"] = recall_at_k(hits, total, k)
        if relevance.graded_by_labels:
            scores[f"type@{k}"] = precision_at_k(same_type, same_type_total, k)
    scores[f"mrr@{RANKS}"] = reciprocal_rank(hits, total)
    return scores


def retrieval_scores(
    vectors: Vectors, labels: Sequence[Labels], ks: Sequence[int] = (DEPTH,)
) -> dict[str, Scores]:
    """The scores (n,) float64 by metric of every photo as a query among the others: see scores_of.

    vectors: (n, d) float32, unit norm.
    """
    return scores_of(nearest(vectors, max(RANKS, *ks)), LabelRelevance(labels), ks)


OWN_PHOTO_DEPTH: Final = 10


def title_scores(titles: Vectors, photos: Vectors, labels: Sequence[Labels]) -> dict[str, float]:
    """How well titles find photos: the share whose own photo is among the first OWN_PHOTO_DEPTH, ties and NaN
    not counted, and the mean share of the title's type among the first five, its own photo included.

    titles, photos: (n, d) float32, unit norm, of the same listings in the same order, more than
        OWN_PHOTO_DEPTH.
    """
    types = np.array([label.type for label in labels])
    own, right = 0, 0.0
    for start in range(0, len(photos), CHUNK):
        part = slice(start, start + CHUNK)
        similarity = titles[part] @ photos.T
        of_own = np.take_along_axis(similarity, np.arange(start, start + len(similarity))[:, None], axis=1)
        behind = (similarity < of_own).sum(axis=1)
        own += int((behind >= len(photos) - OWN_PHOTO_DEPTH).sum())
        first = np.argsort(-similarity, axis=1, kind="stable")[:, :DEPTH]
        right += float((types[first] == types[part, None]).mean(axis=1).sum())
    return {f"own_photo@{OWN_PHOTO_DEPTH}": own / len(photos), f"title_type@{DEPTH}": right / len(photos)}


def means(scores: Mapping[str, Scores]) -> dict[str, float]:
    """The mean of each metric's scores (q,) float64, ignoring NaN; NaN if all are."""
    return {name: mean(values) for name, values in scores.items()}


def random_vectors(count: int, dims: int, seed: int = 0) -> Vectors:
    """(count, dims) float32, unit norm, uniformly distributed: the lower bound for any encoder."""
    vectors = np.random.default_rng(seed).standard_normal((count, dims))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)
