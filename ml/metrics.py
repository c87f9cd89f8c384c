"""Ranking metrics per query, NumPy only. k counts ranks from the top; NaN: no candidate is relevant."""

import numpy as np
from numpy.typing import NDArray

Gains = NDArray[np.floating] | NDArray[np.integer]
Scores = NDArray[np.float64]


def dcg_at_k(gains: Gains, k: int) -> Scores:
    """(q,) sums of gain / log2(rank + 1) over the first k ranks; gains are taken as they are (linear).

    gains: (q, c), of the candidates in ranked order.
    """
    top = np.asarray(gains, dtype=np.float64)[:, :k]
    discounts = 1 / np.log2(np.arange(top.shape[1]) + 2)
    return np.asarray(top @ discounts, dtype=np.float64)


def ndcg_at_k(ranked: Gains, candidates: Gains, k: int) -> Scores:
    """(q,) DCG over that of the best possible order; NaN where no candidate has a gain.

    ranked: (q, ≥ k) gains in ranked order. candidates: (q, c) gains of all candidates, in any order.
    """
    best = dcg_at_k(-np.sort(-np.asarray(candidates, dtype=np.float64), axis=1)[:, :k], k)
    unanswerable = np.full(len(best), np.nan)
    return np.asarray(np.divide(dcg_at_k(ranked, k), best, out=unanswerable, where=best > 0))


def precision_at_k(relevant: NDArray[np.bool_], k: int) -> Scores:
    """(q,) share of the first k that are relevant; ranks that a short ranking lacks count as misses.

    relevant: (q, c), in ranked order.
    """
    return np.asarray(relevant[:, :k].sum(axis=1) / k, dtype=np.float64)


def hit_rate_at_k(relevant: NDArray[np.bool_], k: int) -> Scores:
    """(q,) 1.0 where any of the first k is relevant, else 0.0. relevant: (q, c), in ranked order."""
    return np.asarray(relevant[:, :k].any(axis=1), dtype=np.float64)


def recall_at_k(relevant: NDArray[np.bool_], total: NDArray[np.integer], k: int) -> Scores:
    """(q,) share of all relevant candidates that are among the first k; NaN where there are none.

    relevant: (q, c), in ranked order. total: (q,) relevant candidates of each query, shown or not.
    """
    found = relevant[:, :k].sum(axis=1).astype(np.float64)
    return np.asarray(np.divide(found, total, out=np.full(len(found), np.nan), where=total > 0))


def reciprocal_rank(relevant: NDArray[np.bool_]) -> Scores:
    """(q,) 1 / rank of the first relevant candidate, 0 where there is none. relevant: (q, c), ranked."""
    return np.where(relevant.any(axis=1), 1 / (relevant.argmax(axis=1) + 1), 0.0)


def bootstrap_interval(
    scores: Scores, *, resamples: int = 2000, level: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """Percentile interval of the mean over queries drawn again with replacement; NaN queries are left out."""
    known = scores[~np.isnan(scores)]
    draws = np.random.default_rng(seed).integers(0, len(known), (resamples, len(known)))
    low, high = np.quantile(known[draws].mean(axis=1), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
