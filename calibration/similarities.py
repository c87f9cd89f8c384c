"""Similarities of categories that were learned from taps, with the weights that are fitted beside them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from calibration.appeal import appeal
from calibration.co_taps import CategoryPair, Leaves, learned_from
from calibration.fit import Effect, Fit, Interval, effect_of, fit, fit_with, folds_of, interval, ndcg, search
from calibration.questions import Flags, Floats, Questions
from query.search.ranking import ADJUSTABLE
from query.search.terms.category import Category, LearnedSimilarities, shared_depth
from query.search.terms.category import Path as CategoryPath

CATEGORY: Final = ADJUSTABLE.index(Category.name)


@dataclass(frozen=True)
class Learned:
    """The pairs of categories that were learned, and whether they help."""

    pairs: tuple[CategoryPair, ...]
    gain: Interval | None
    """In nDCG of users that neither pairs nor weights were fitted on; None without a pair."""
    similarities: LearnedSimilarities
    """The current ones with those of the pairs."""
    by_fold: tuple[tuple[Flags, tuple[CategoryPair, ...]], ...] = ()
    """The slates (n,) of each fold that is held out, and the pairs learned without it."""

    @property
    def kept(self) -> bool:
        """Whether the pairs are shown to help."""
        return self.gain is not None and self.gain.shown_to_help

    def beside(self, now: LearnedSimilarities) -> LearnedSimilarities:
        """Return the current similarities with those learned, if they are kept."""
        return self.similarities if self.kept else now


@dataclass(frozen=True)
class Evidence:
    """What similarities are learned from and tried on."""

    questions: Questions
    """With the values of all terms."""
    leaves: Leaves
    fitted: Flags
    """(t,) the terms whose weights are fitted"""
    now: Floats
    """(t,) current weights"""
    similarities: LearnedSimilarities
    """The current ones."""
    spread: float
    """The encoder's: the value of the category term at a weight of 1 for the same category."""

    def __getitem__(self, rows: Flags) -> Evidence:
        """That of some slates, (n,)."""
        return replace(self, questions=self.questions[rows], leaves=self.leaves[rows])

    def fitting(self, pairs: Iterable[CategoryPair]) -> Questions:
        """Return the questions to fit weights on, with similarities of pairs beside the current ones."""
        table = self.leaves.similarities(self.merged(pairs))
        own, others = self.leaves.own[:, None], self.leaves.others
        return self._with_category(np.where(others < 0, 0, self.spread * table[own, others]))

    def merged(self, pairs: Iterable[CategoryPair]) -> LearnedSimilarities:
        """Return the current similarities with those of pairs."""
        return merged(self.similarities, pairs, self.leaves.paths)

    def pairs(self, weights: Floats) -> tuple[CategoryPair, ...]:
        """Return the pairs that are learned beside the other terms, whose weights (t,) were fitted."""
        questions, leaves = self.questions, self.leaves
        scores = self._with_category(np.zeros_like(questions.cosines)).scores(weights)
        same = leaves.others == leaves.own[:, None]
        appeals = appeal(scores, questions.grades, questions.importance, same)
        return tuple(learned_from(questions, leaves, appeals, self.similarities))

    def _with_category(self, values: Floats) -> Questions:
        """The questions to fit weights on, with other values (n, m) of the category at a weight of 1."""
        every = self.questions.values.copy()
        every[CATEGORY] = values
        return replace(self.questions, values=every).fixing(self.fitted, self.now)


def fit_taps(evidence: Evidence, seed: int, folds: int) -> tuple[Learned, Fit]:
    """Learn similarities, and fit weights with them if they are shown to help."""
    learned, now = learn(evidence, seed, folds), evidence.now[evidence.fitted]
    if not learned.kept:
        return learned, fit(evidence.fitting(()), now, seed, folds)
    splits = ((held_out, evidence.fitting(pairs)) for held_out, pairs in learned.by_fold)
    return learned, fit_with(evidence.fitting(learned.pairs), now, splits)


def effect_of_taps(evidence: Evidence, seed: int, folds: int) -> Effect:
    """Compare with the current ranking what `fit_taps` returns, repeated without each fold."""

    def refit(held_out: Flags) -> tuple[Questions, Floats]:
        learned, found = fit_taps(evidence[~held_out], seed, folds)
        pairs = learned.pairs if learned.kept else ()
        return evidence[held_out].fitting(pairs), found.weights

    return effect_of(refit, evidence.fitting(()), evidence.now[evidence.fitted], seed, folds)


def learn(evidence: Evidence, seed: int, folds: int) -> Learned:
    """Return the similarities that taps say, and what they add to nDCG.

    For each fold, similarities and weights are fitted on the others, and so are weights without them.
    """
    questions, now = evidence.fitting(()), evidence.now[evidence.fitted]
    every = np.ones(len(now), dtype=bool)
    pairs = evidence.pairs(search(questions, now, every))
    if not pairs:
        return Learned((), None, evidence.similarities)
    gains, by_fold = np.zeros(len(questions)), []
    for held_out in folds_of(questions.cluster, seed, folds):
        weights = search(questions[~held_out], now, every)
        found = evidence[~held_out].pairs(weights)
        beside = evidence.fitting(found)
        fitted = search(beside[~held_out], now, every)
        gains[held_out] = ndcg(beside[held_out], fitted) - ndcg(questions[held_out], weights)
        by_fold.append((held_out, found))
    return Learned(pairs, interval(questions, gains), evidence.merged(pairs), tuple(by_fold))


def merged(
    now: LearnedSimilarities, pairs: Iterable[CategoryPair], known: Collection[CategoryPath]
) -> LearnedSimilarities:
    """Return the current similarities with those of pairs, which replace what lies at or below them.

    A similarity to a category above is handed down to the other known categories below it.
    """
    table: dict[CategoryPath, Mapping[CategoryPath, float]] = dict(now)
    for pair in pairs:
        others: dict[CategoryPath, float] = {}
        for path, value in table.get(pair.item, {}).items():
            kept = split(path, pair.other, known) if _overlap(path, pair.other) else {path}
            others |= dict.fromkeys(kept, value)
        table[pair.item] = {**others, pair.other: pair.similarity}
    return table


def split(above: CategoryPath, path: CategoryPath, known: Collection[CategoryPath]) -> set[CategoryPath]:
    """Return what is left of a category without a path below it: the largest categories with known ones."""
    depths = {other: shared_depth(other, path) for other in known}
    return {
        other[: depth + 1]
        for other, depth in depths.items()
        if len(above) <= depth < min(len(other), len(path))
    }


def _overlap(path: CategoryPath, other: CategoryPath) -> bool:
    """Whether one of two categories is the other or above it."""
    return all(one == two for one, two in zip(path, other, strict=False))
