"""Probabilities of what people do with a slate: look, tap, view, buy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from demo.simulation.columns import NOTHING, Flags, Floats, Rows
from demo.simulation.ground_truth import GroundTruth
from demo.simulation.market.buyers import Buyers
from demo.simulation.market.stock import Stock

LOWEST_PRICE: Final = 0.01
"""That a listing can have; rows that are not used yet have none."""

Number = TypeVar("Number", np.float32, np.int64)


@dataclass(frozen=True)
class Draws:
    """Uniform numbers in [0, 1), drawn once for each slate and candidate."""

    tap: Floats
    """(S, R)"""
    purchase: Floats
    """(S, R)"""
    reading: Floats
    """(S, R) decides the time before the tap"""
    deciding: Floats
    """(S, R) decides the time before the purchase"""
    complaint: Floats
    """(S, R)"""
    order: Floats
    """(S, R) the order of a shuffled slate"""
    depth: Rows
    """(S,) how many positions the buyer looks at"""

    @classmethod
    def draw(cls, slates: int, reserve: int, truth: GroundTruth, rng: np.random.Generator) -> Draws:
        """Return the draws of slates with `reserve` candidates each."""
        tap, purchase, reading, deciding, complaint, order = rng.random(
            (6, slates, reserve), dtype=np.float32
        )
        depth = draw_depths(slates, truth, rng)
        return cls(tap, purchase, reading, deciding, complaint, order, depth)


def draw_depths(slates: int, truth: GroundTruth, rng: np.random.Generator) -> Rows:
    """Return the number of positions that each buyer looks at: (S,) int64."""
    further = rng.geometric(1 / (truth.mean_depth - truth.least_depth), slates)
    return np.asarray(truth.least_depth + further)


def attraction(
    truth: GroundTruth, stock: Stock, buyers: Buyers, user: Rows, query: Rows, items: Rows
) -> Floats:
    """Return the probability that an examined item attracts the user: (S, R) float32.

    The logistic function of similarity, taste and difference in price; 0 where items is NOTHING.
    """
    vectors = stock.catalogue.truth
    wanted = truth.similarity * vectors[stock.base[query]] + truth.taste * buyers.taste[user]
    logit = np.einsum("sd,srd->sr", wanted.astype(np.float32), vectors[stock.base[items]])
    ratio = np.abs(np.log(np.maximum(stock.price[items], LOWEST_PRICE) / stock.price[query][:, None]))
    logit += np.float32(truth.attraction) - buyers.sensitivity[user][:, None] * ratio.astype(np.float32)
    return np.where(items == NOTHING, np.float32(0), 1 / (1 + np.exp(-logit))).astype(np.float32)


def examination(truth: GroundTruth, depth: Rows, nth: Rows) -> Floats:
    """Return the probability that each position is examined: (S, L) float32.

    Position bias, for buyers who look that far, and fatigue from earlier slates of the session.
    """
    position = np.arange(1, truth.slate_length + 1)
    bias = position**-truth.position_bias * (position <= depth[:, None])
    return (bias * (truth.freshness**nth)[:, None]).astype(np.float32)


def shown(candidates: Rows, alive: Flags, shuffled: Flags, draws: Draws, length: int) -> Rows:
    """Return the places among the candidates (S, R) that a slate shows, then NOTHING: (S, L) int64.

    The first `length` that are alive, in the order of the ranking or, in a shuffled slate, in random order.
    """
    there = alive & (candidates != NOTHING)
    there &= np.cumsum(there, axis=1) <= length
    ranked = np.arange(candidates.shape[1], dtype=np.float32)[None, :]
    key = np.where(shuffled[:, None], draws.order, ranked)
    key = np.where(there, key, np.inf)
    order = np.argsort(key, axis=1, kind="stable")[:, :length]
    return np.where(np.take_along_axis(there, order, axis=1), order, NOTHING)


def tap_probability(
    truth: GroundTruth, examined: Floats, attracted: Floats, bot: Flags, lift: Floats
) -> Floats:
    """Return the probability of a tap (S, L), from examination and attraction (S, L) and lift (S,)."""
    human = np.float32(truth.tap_rate) * lift[:, None] * examined * attracted
    machine = np.float32(truth.bot_tap) * (attracted > 0)
    return np.where(bot[:, None], machine, human)


def purchase_probability(truth: GroundTruth, attracted: Floats, bot: Flags, lift: Floats) -> Floats:
    """Return the probability that a tapped item is bought: (S, L) float32."""
    human = np.float32(truth.buy_after_tap) * lift[:, None] * attracted
    return np.where(bot[:, None], np.float32(0), human)


def at(values: NDArray[Number], places: Rows) -> NDArray[Number]:
    """Return values (S, R) at places (S, L); mask those at NOTHING, which are of the last column."""
    return np.take_along_axis(values, places, axis=1)
