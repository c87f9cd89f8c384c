"""How good an encoder is: exact search, scores per query and their means."""

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
"""(n, ranks) rows of the photos found for each photo, the nearest first."""

DEPTH: Final = 5
RANKS: Final = 100
"""Ranks that are looked at; an answer farther down counts as none in mrr@100."""
CHUNK: Final = 512
"""Queries at once, so that memory grows with the photos searched and not with their square."""


def nearest(vectors: Vectors, count: int, queries: Vectors | None = None) -> Ranking:
    """(n, ≤ count) rows of vectors (n, d) by dot product with each; a row is not its own neighbour.

    queries: (n, d), what asks on behalf of each row; the vectors themselves unless given.
    """
    asking = vectors if queries is None else queries
    ranked = []
    for start in range(0, len(vectors), CHUNK):
        similarity = asking[start : start + CHUNK] @ vectors.T
        own = np.arange(len(similarity))
        similarity[own, start + own] = -np.inf
        ranked.append(np.argsort(-similarity, axis=1, kind="stable")[:, : min(count, len(vectors) - 1)])
    return np.concatenate(ranked)


def scores_of(ranking: Ranking, relevance: Relevance, ks: Sequence[int] = (DEPTH,)) -> dict[str, Scores]:
    """Scores (q,) by metric, of each query of `relevance`; NaN where nothing that the metric counts answers.

    ndcg@k: gains as they are. ndcg_exp@k: 2^gain − 1. p@k, hit@k, recall@k and mrr@100 go by hits: for labels
    the same type, gender and colour, for judgments any gain. type@k, labels only: share of the same type.
    So a query that only gains below a hit answer has an nDCG, and no p@k, hit@k, recall@k or mrr@100.
    """
    starts = range(0, len(relevance.queries), CHUNK)
    parts = [
        chunk_scores(ranking, relevance, relevance.queries[start : start + CHUNK], ks) for start in starts
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def chunk_scores(
    ranking: Ranking, relevance: Relevance, queries: NDArray[np.int64], ks: Sequence[int]
) -> dict[str, Scores]:
    gains = relevance.gains(queries)
    ranked = np.take_along_axis(gains, ranking[queries], axis=1)
    hits, total = ranked >= relevance.hit, (gains >= relevance.hit).sum(axis=1)
    like, likes = ranked > 0, (gains > 0).sum(axis=1)
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
            scores[f"type@{k}"] = precision_at_k(like, likes, k)
    scores[f"mrr@{RANKS}"] = reciprocal_rank(hits, total)
    return scores


def retrieval_scores(
    vectors: Vectors, labels: Sequence[Labels], ks: Sequence[int] = (DEPTH,)
) -> dict[str, Scores]:
    """scores_of every photo as a query among the others. vectors: (n, d), unit norm, a row per label."""
    return scores_of(nearest(vectors, max(RANKS, *ks)), LabelRelevance(labels), ks)


def means(scores: Mapping[str, Scores]) -> dict[str, float]:
    """Over the queries that have a score; NaN where none has."""
    return {name: mean(values) for name, values in scores.items()}


def random_vectors(count: int, dims: int, seed: int = 0) -> Vectors:
    """(count, dims) float32, unit norm, of evenly spread directions: the row that anything must beat."""
    vectors = np.random.default_rng(seed).standard_normal((count, dims))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)
