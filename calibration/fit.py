"""Weights of ranking terms, fitted on nDCG with cross-validation over the items."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from calibration.questions import Flags, Floats, Integers, Questions
from experiments.analysis.offline.clustered import estimates, mean_of

GRID: Final = (0.0, 0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Weights to choose from, in spreads of similarity, beside the weight that a term has now."""

SWEEPS: Final = 5
"""The most passes over all terms. Two or three change nothing more."""

LEAST_GAIN: Final = 0.001
"""In nDCG. Over many thousand slates, less has an interval above 0 too, and no shopper notices it."""

_DECIMALS: Final = 12
"""Means that differ by less are equal: the order of a sum changes them."""


Split = tuple[Flags, Questions]
"""(n,) the items of a fold, which are held out, and all n items with what the others say of them."""

Refit = Callable[[Flags], tuple[Questions, Floats]]
"""Items (h,) to hold out, to them with what was learned from the others, and weights fitted on the others."""


class Interval(NamedTuple):
    """A mean with its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float

    @property
    def shown_to_help(self) -> bool:
        """Whether this gain in nDCG is not due to chance, and large enough to notice."""
        return self.low > 0 and self.mean >= LEAST_GAIN


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
    """With the current weights."""
    after: Interval
    gain: Interval


def fit(questions: Questions, now: Floats, seed: int, folds: int) -> Fit:
    """Fit the weights of all terms, remove those that gain nothing, and fit the rest again.

    now: (t,) weights to start from.
    """
    splits = ((held_out, questions) for held_out in folds_of(questions.cluster, seed, folds))
    return fit_with(questions, now, splits)


def fit_with(questions: Questions, now: Floats, splits: Iterable[Split]) -> Fit:
    """Fit them where something besides the weights was learned, in each split without the fold held out."""
    gains = gains_of(questions, now, splits)
    kept = np.array([gain.shown_to_help for gain in gains], dtype=bool)
    return Fit(search(questions, now, kept), gains)


def effect(questions: Questions, now: Floats, seed: int, folds: int) -> Effect:
    """Compare fitted weights with the current ones. The choice of terms is repeated in every fold, too."""

    def refit(held_out: Flags) -> tuple[Questions, Floats]:
        return questions[held_out], fit(questions[~held_out], now, seed, folds).weights

    return effect_of(refit, questions, now, seed, folds)


def effect_of(refit: Refit, questions: Questions, now: Floats, seed: int, folds: int) -> Effect:
    """Compare what is fitted with the current weights, on each fold after a fit on the others."""
    after = np.zeros(len(questions))
    for held_out in folds_of(questions.cluster, seed, folds):
        after[held_out] = ndcg(*refit(held_out))
    before = ndcg(questions, now)
    return Effect(*(interval(questions, each) for each in (before, after, after - before)))


def gains_of(questions: Questions, now: Floats, splits: Iterable[Split]) -> tuple[Interval, ...]:
    """Return for each term what held-out items lose without it, the other weights as fitted."""
    losses, every = np.zeros((len(now), len(questions))), np.ones(len(now), dtype=bool)
    for held_out, split in splits:
        weights, others = search(split[~held_out], now, every), split[held_out]
        whole = ndcg(others, weights)
        for place in np.flatnonzero(weights).tolist():
            losses[place, held_out] = np.subtract(whole, ndcg(others, without(weights, place)))
    return tuple(interval(questions, each) for each in losses)


def search(questions: Questions, now: Floats, kept: Flags) -> Floats:
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
    means = [questions.mean(questions.ndcg(others + weight * questions.values[place])) for weight in grid]
    return grid[int(np.argmax(np.round(means, _DECIMALS)))]


def without(weights: Floats, place: int) -> Floats:
    """(t,) the weights with one of them 0."""
    rest = weights.copy()
    rest[place] = 0
    return rest


def ndcg(questions: Questions, weights: Floats) -> Floats:
    """(n,) nDCG under weights (t,)."""
    return questions.ndcg(questions.scores(weights))


def folds_of(cluster: Integers, seed: int, folds: int) -> Iterator[Flags]:
    """Yield for each fold which of the items it holds out, (n,): all of one cluster (n,) together."""
    _, number = np.unique(cluster, return_inverse=True)
    fold = np.random.default_rng(seed).permutation(number.max(initial=-1) + 1) % folds
    for each in range(folds):
        yield fold[number] == each


def interval(questions: Questions, values: Floats) -> Interval:
    """Return the mean of values (n,) by importance, with a bootstrap over clusters."""
    return clustered_interval(values, questions.importance, questions.cluster)


def clustered_interval(values: Floats, importance: Floats, cluster: Integers) -> Interval:
    """Return the mean of values (n,) by importance (n,), with a bootstrap over clusters (n,)."""
    ((mean, bounds),) = estimates([("", mean_of(values, importance))], cluster).values()
    return Interval(mean, *bounds)
