"""How good an encoder is: exact search, scores per query, intervals, tests and slices."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ml.data.pairs import Labels
from ml.errors import MlError
from ml.metrics.ranking import (
    Scores,
    bootstrap_interval,
    hit_rate_at_k,
    mean,
    ndcg_at_k,
    precision_at_k,
    ratio_interval,
    recall_at_k,
    reciprocal_rank,
)
from ml.metrics.relevance import LabelRelevance, Relevance
from ml.metrics.significance import holm, randomisation_p

Vectors = NDArray[np.float32]
Ranking = NDArray[np.int64]
"""(n, ranks) rows of the photos found for each photo, the nearest first."""
Groups = Mapping[str, NDArray[np.str_]]
"""What queries are told apart by, such as colour, to (n,) the value of each photo, "" for none."""

DEPTH: Final = 5
RANKS: Final = 100
"""Ranks that are looked at; an answer farther down counts as none in mrr@100."""
CHUNK: Final = 512
"""Queries at once, so that memory grows with the photos searched and not with their square."""
NO_GAIN: Final = (None, None)
MIN_SLICE: Final = 20
"""Slices of fewer queries are left out: their intervals span half the scale."""


class NothingToSearch(MlError):
    """Too few photos in a split."""


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


@dataclass(frozen=True)
class Slice:
    """An encoder's score on some of the queries."""

    by: str
    value: str
    queries: int
    mean: float
    """Of the first metric."""
    interval: tuple[float, float]


@dataclass(frozen=True)
class Row:
    """One encoder in a comparison: means over queries with 95 % intervals, and how it differs from the
    baseline in the first metric, nDCG at the first k."""

    encoder: str
    means: dict[str, float]
    """NaN where no query has a score: see scores_of."""
    intervals: dict[str, tuple[float, float]]
    gain: float | None
    """Over the baseline's mean, as a share of the latter; None for the baseline, or without one above 0."""
    gain_interval: tuple[float, float] | None
    """95 %, paired: the same queries are drawn for both encoders, and both means are of the drawn ones."""
    p: float | None
    """Of a paired randomisation test, two-sided."""
    p_holm: float | None
    """The same, corrected for the number of encoders compared with the baseline."""
    slices: list[Slice]

    def text(self, metric: str) -> str:
        """A mean and its interval for readers; a dash where no query has a score."""
        low, high = self.intervals[metric]
        return "–" if np.isnan(low) else f"{self.means[metric]:.3f} ({low:.3f}–{high:.3f})"


def compare(
    rankings: Mapping[str, Ranking],
    relevance: Relevance,
    baseline: str | None = None,
    *,
    ks: Sequence[int] = (DEPTH,),
    groups: Groups | None = None,
) -> list[Row]:
    """A row per encoder, in the order given. rankings: name to what it finds for each photo searched."""
    scores = {name: scores_of(ranking, relevance, ks) for name, ranking in rankings.items()}
    first = f"ndcg@{ks[0]}"
    pairs = {
        name: (of[first], scores[baseline][first])
        for name, of in scores.items()
        if baseline is not None and name != baseline
    }
    gains = {name: gain_over(own, base) for name, (own, base) in pairs.items()}
    p_values = {name: randomisation_p(own - base) for name, (own, base) in pairs.items()}
    corrected = dict(zip(p_values, holm(list(p_values.values())), strict=True))
    asked = {by: values[relevance.queries] for by, values in (groups or {}).items()}
    return [
        Row(
            encoder=name,
            means=means(of),
            intervals={metric: bootstrap_interval(values) for metric, values in of.items()},
            gain=gains.get(name, NO_GAIN)[0],
            gain_interval=gains.get(name, NO_GAIN)[1],
            p=p_values.get(name),
            p_holm=corrected.get(name),
            slices=slices_of(of[first], asked),
        )
        for name, of in scores.items()
    ]


def gain_over(scores: Scores, baseline: Scores) -> tuple[float, tuple[float, float]] | tuple[None, None]:
    """Gain of scores (q,) over the baseline's (q,) as a share of the latter's mean, and its 95 % interval.

    None where the baseline is so near 0 that a share of it has no bounds.
    """
    low, high = ratio_interval(scores, baseline)
    return NO_GAIN if np.isnan(low) else (mean(scores) / mean(baseline) - 1, (low - 1, high - 1))


def slices_of(scores: Scores, groups: Groups) -> list[Slice]:
    """Means of scores (q,) for each value of MIN_SLICE answerable queries or more, most queries first."""
    answerable = ~np.isnan(scores)
    slices = []
    for by, values in groups.items():
        counts = Counter(values[answerable].tolist())
        for value, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
            if not value or count < MIN_SLICE:
                continue
            part = scores[answerable & (values == value)]
            slices.append(Slice(by, value, len(part), float(part.mean()), bootstrap_interval(part)))
    return slices


def weakest(slices: Iterable[Slice], count: int) -> list[Slice]:
    """The slices with the lowest means."""
    return sorted(slices, key=lambda one: one.mean)[:count]


def random_vectors(count: int, dims: int, seed: int = 0) -> Vectors:
    """(count, dims) float32, unit norm, of evenly spread directions: the row that anything must beat."""
    vectors = np.random.default_rng(seed).standard_normal((count, dims))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)
