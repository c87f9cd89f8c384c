"""Weights of ranking terms, fitted on nDCG with cross-validation over the items."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from calibration.questions import Floats, Questions

GRID: Final = (0.0, 0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Weights to choose from, in spreads of similarity, beside the weight that a term has now."""

SWEEPS: Final = 5
"""The most passes over all terms. Two or three change nothing more."""

_RESAMPLES: Final = 2000
_DECIMALS: Final = 12
"""Means that differ by less are equal: the order of a sum changes them."""


class Interval(NamedTuple):
    """A mean over items with its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Fit:
    """The weights (t,) of the terms, and why."""

    weights: Floats
    gains: tuple[Interval, ...]
    """What each term adds to nDCG on items that its weight was not fitted on."""


@dataclass(frozen=True)
class Effect:
    """nDCG of items that the weights were not fitted on."""

    before: Interval
    """With the weights of now."""
    after: Interval
    gain: Interval


def fit(questions: Questions, now: Floats, seed: int, folds: int) -> Fit:
    """Fit the weights of all terms, remove those that gain nothing, and fit the rest again.

    now: (t,) weights to start from.
    """
    gains = gains_of(questions, now, seed, folds)
    kept = np.array([gain.low > 0 for gain in gains], dtype=bool)
    return Fit(search(questions, now, kept), gains)


def effect(questions: Questions, now: Floats, seed: int, folds: int) -> Effect:
    """Compare fitted weights with those of now. The choice of terms is repeated in every fold, too."""
    after = np.zeros(len(questions))
    for held_out in folds_of(len(questions), seed, folds):
        weights = fit(questions[~held_out], now, seed, folds).weights
        after[held_out] = ndcg(questions[held_out], weights)
    before = ndcg(questions, now)
    return Effect(*(interval(each, seed) for each in (before, after, after - before)))


def gains_of(questions: Questions, now: Floats, seed: int, folds: int) -> tuple[Interval, ...]:
    """Return for each term what held-out items lose without it, the other weights as fitted."""
    losses, every = np.zeros((len(now), len(questions))), np.ones(len(now), dtype=bool)
    for held_out in folds_of(len(questions), seed, folds):
        weights, others = search(questions[~held_out], now, every), questions[held_out]
        whole = ndcg(others, weights)
        for place in np.flatnonzero(weights).tolist():
            losses[place, held_out] = np.subtract(whole, ndcg(others, without(weights, place)))
    return tuple(interval(each, seed) for each in losses)


def search(questions: Questions, now: Floats, kept: NDArray[np.bool_]) -> Floats:
    """(t,) weights with the best mean nDCG: each in turn over GRID, until none changes.

    Of equal ones the smallest, so that a term without effect weighs nothing.
    """
    weights = np.where(kept, now, 0.0)
    for _ in range(SWEEPS):
        before = weights.copy()
        for place in np.flatnonzero(kept).tolist():
            weights[place] = best_weight(questions, weights, place, sorted({*GRID, float(now[place])}))
        if np.array_equal(weights, before):
            break
    return weights


def best_weight(questions: Questions, weights: Floats, place: int, grid: list[float]) -> float:
    """Return the weight of one term with the best mean nDCG, the others as they are."""
    others = questions.scores(without(weights, place))
    means = [questions.ndcg(others + weight * questions.values[place]).mean() for weight in grid]
    return grid[int(np.argmax(np.round(means, _DECIMALS)))]


def without(weights: Floats, place: int) -> Floats:
    """(t,) the weights with one of them 0."""
    rest = weights.copy()
    rest[place] = 0
    return rest


def ndcg(questions: Questions, weights: Floats) -> Floats:
    """(n,) nDCG under weights (t,)."""
    return questions.ndcg(questions.scores(weights))


def folds_of(count: int, seed: int, folds: int) -> Iterator[NDArray[np.bool_]]:
    """Yield for each fold which of the items it holds out, (count,)."""
    fold = np.random.default_rng(seed).permutation(count) % folds
    for number in range(folds):
        yield fold == number


def interval(values: Floats, seed: int) -> Interval:
    """Return the mean of values (n,) with its percentile bootstrap interval (Efron and Tibshirani 1993)."""
    rng = np.random.default_rng(seed)
    means = [values[rng.integers(len(values), size=len(values))].mean() for _ in range(_RESAMPLES)]
    low, high = np.percentile(means, [2.5, 97.5])
    return Interval(float(values.mean()), float(low), float(high))
