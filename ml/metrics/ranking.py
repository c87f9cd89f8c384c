"""Ranking metrics per query. NumPy only. A score is NaN where no candidate is relevant.

Binary metrics take `relevant` (q, c) bool, in ranked order, and `total` (q,) int, the number of relevant
candidates of each query, ranked or not. Definitions: Manning, Raghavan and Schütze, Introduction to
Information Retrieval, chapter 8; nDCG: Järvelin and Kekäläinen (2002).
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Gains = NDArray[np.floating] | NDArray[np.integer]
Scores = NDArray[np.float64]

DRAWN_AT_ONCE: Final = 2**20
"""Queries that a bootstrap draws at once, which bounds its memory to about 30 MB."""


def dcg_at_k(gains: Gains, k: int) -> Scores:
    """(q,) float64 sums of gain / log2(rank + 1) over the first k ranks, with linear gains.

    gains: (q, c) number, in ranked order.
    """
    top = np.asarray(gains, dtype=np.float64)[:, :k]
    discounts = 1 / np.log2(np.arange(top.shape[1]) + 2)
    return np.asarray(top @ discounts, dtype=np.float64)


def ndcg_at_k(ranked: Gains, candidates: Gains, k: int) -> Scores:
    """(q,) float64 DCG divided by that of the ideal order; NaN where no candidate has a gain.

    ranked: (q, ≥ k) gains in ranked order. candidates: (q, c) gains of all candidates, in any order.
    """
    best = dcg_at_k(-np.sort(-np.asarray(candidates, dtype=np.float64), axis=1)[:, :k], k)
    unanswerable = np.full(len(best), np.nan)
    return np.asarray(np.divide(dcg_at_k(ranked, k), best, out=unanswerable, where=best > 0))


def precision_at_k(relevant: NDArray[np.bool_], total: NDArray[np.integer], k: int) -> Scores:
    """(q,) float64 share of the first k that are relevant; missing ranks count as misses."""
    return nan_without_relevant(relevant[:, :k].sum(axis=1) / k, total)


def hit_rate_at_k(relevant: NDArray[np.bool_], total: NDArray[np.integer], k: int) -> Scores:
    """(q,) float64, 1 where any of the first k is relevant, else 0."""
    return nan_without_relevant(np.asarray(relevant[:, :k].any(axis=1), dtype=np.float64), total)


def recall_at_k(relevant: NDArray[np.bool_], total: NDArray[np.integer], k: int) -> Scores:
    """(q,) float64 share of all relevant candidates that are among the first k."""
    return nan_without_relevant(relevant[:, :k].sum(axis=1) / np.maximum(total, 1), total)


def reciprocal_rank(relevant: NDArray[np.bool_], total: NDArray[np.integer]) -> Scores:
    """(q,) float64 1 / rank of the first relevant candidate, 0 where the ranking has none."""
    first = 1 / (relevant.argmax(axis=1) + 1)
    return nan_without_relevant(np.where(relevant.any(axis=1), first, 0), total)


def nan_without_relevant(values: NDArray[np.floating], total: NDArray[np.integer]) -> Scores:
    """(q,) float64 values, NaN for queries without a relevant candidate. total: (q,) int."""
    return np.asarray(np.where(total > 0, values, np.nan), dtype=np.float64)


def mean(scores: Scores) -> float:
    """The mean of scores (q,) float64, ignoring NaN; NaN if all are."""
    known = scores[~np.isnan(scores)]
    return float(known.mean()) if len(known) else np.nan


def bootstrap_interval(
    scores: Scores, *, resamples: int = 2000, level: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean of scores (q,) float64, ignoring NaN.

    (NaN, NaN) if no query has a score. Efron and Tibshirani (1993), An Introduction to the Bootstrap.
    """
    known = scores[~np.isnan(scores)]
    if not len(known):
        return np.nan, np.nan
    return percentile_interval(resampled_means(known[None], resamples, seed)[0], level)


def ratio_interval(
    scores: Scores, others: Scores, *, resamples: int = 2000, level: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of mean(scores) / mean(others); each resample draws the same queries.

    scores, others: (q,) float64 of the same queries; queries that are NaN in either are ignored. (NaN, NaN)
    if no query has both scores, or if a resample of `others` has the mean 0, so that the ratio is unbounded.
    """
    both = np.stack([scores, others])
    known = both[:, ~np.isnan(both).any(axis=0)]
    if not known.size:
        return np.nan, np.nan
    above, below = resampled_means(known, resamples, seed)
    return percentile_interval(above / below, level) if below.all() else (np.nan, np.nan)


def resampled_means(scores: Scores, resamples: int, seed: int) -> Scores:
    """(m, resamples) float64 means of scores (m, q) float64 without NaN, queries drawn with replacement.

    Each resample draws the same queries for all m encoders.
    """
    rng, queries = np.random.default_rng(seed), scores.shape[1]
    at_once = max(1, DRAWN_AT_ONCE // queries)
    sizes = (min(at_once, resamples - start) for start in range(0, resamples, at_once))
    draws = (rng.integers(0, queries, (size, queries)) for size in sizes)
    return np.concatenate([scores[:, drawn].mean(axis=2) for drawn in draws], axis=1)


def percentile_interval(values: Scores, level: float) -> tuple[float, float]:
    """Central interval of values (n,) float64 that contains the share `level` of them."""
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
