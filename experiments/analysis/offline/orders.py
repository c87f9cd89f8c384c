"""Slates in other orders, and the scores of each order."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from experiments.analysis.offline.slates import Integers, Slates
from ml.metrics.ranking import Scores, hit_rate_at_k, ndcg_at_k, precision_at_k, reciprocal_rank

Numbers = NDArray[np.float64]

RANDOM: Final = "random"
PRODUCTION: Final = "production order"
POPULARITY: Final = "popularity"
REFERENCES: Final = (RANDOM, PRODUCTION, POPULARITY)


class Gain(StrEnum):
    """The gain of a tapped item."""

    TAPS = "taps"
    """1."""
    PURCHASES = "purchases"
    """1, and 2 if it was bought."""


def gains_of(slates: Slates, gain: Gain) -> Numbers:
    """The gain of each item, (s, n) float64, in the order shown."""
    bought = slates.bought if gain is Gain.PURCHASES else np.zeros_like(slates.bought)
    return slates.tapped + 1.0 * bought


def orders_of(slates: Slates, cosines: Mapping[str, Numbers], seed: int = 0) -> dict[str, Integers]:
    """Name to (s, n) int64 indices into the slate, best first: the reference rows, then the encoders.

    Ties are in random order: in the order shown, they would profit from the production order. Indices beyond
    a slate's end come last. cosines: name to (s, n) float64.
    """
    noise = np.random.default_rng(seed).random(slates.items.shape)
    merits = {
        RANDOM: np.zeros(slates.items.shape),
        PRODUCTION: -slates.positions,
        POPULARITY: slates.popularity,
        **cosines,
    }
    beyond = slates.items < 0
    return {name: np.lexsort((noise, -1.0 * merit, beyond)) for name, merit in merits.items()}


def scores_of(order: Integers, gains: Numbers) -> dict[str, Scores]:
    """Metric to scores (s,) float64 of slates in an order (s, n) int64.

    gains: (s, n) float64 for nDCG; for the other metrics, any gain is a hit. For slates with one tap, p@k is
    hit@k / k.
    """
    ranked = np.take_along_axis(gains, order, axis=1)
    hits, total = ranked > 0, (gains > 0).sum(axis=1)
    return {
        "ndcg@5": ndcg_at_k(ranked, gains, 5),
        "p@1": precision_at_k(hits, total, 1),
        "p@3": precision_at_k(hits, total, 3),
        "hit@1": hit_rate_at_k(hits, total, 1),
        "hit@3": hit_rate_at_k(hits, total, 3),
        "mrr": reciprocal_rank(hits, total),
    }


def scores_by_order(
    slates: Slates, orders: Mapping[str, Integers], gains: Numbers
) -> dict[str, dict[str, Scores]]:
    """Order to metric to scores (s,) float64.

    NaN for the production order of a shuffled slate, which is unknown. orders: name to (s, n) int64. gains:
    (s, n) float64.
    """
    scores = {name: scores_of(order, gains) for name, order in orders.items()}
    scores[PRODUCTION] = {
        metric: np.where(slates.randomised, np.nan, values) for metric, values in scores[PRODUCTION].items()
    }
    return scores
