"""Whether similarities of categories that were learned from taps rank better, on held-out users."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from calibration.appeal import appeal
from calibration.co_taps import CategoryPair, Leaves, learned_from
from calibration.fit import Interval, folds_of, interval, ndcg, search
from calibration.questions import Flags, Floats, Questions
from query.search.ranking import ADJUSTABLE
from query.search.terms.category import Category, LearnedSimilarities
from query.search.terms.category import Path as CategoryPath

CATEGORY: Final = ADJUSTABLE.index(Category.name)


@dataclass(frozen=True)
class Learned:
    """The pairs of categories that were learned, and whether they help."""

    pairs: tuple[CategoryPair, ...]
    gain: Interval | None
    """In nDCG of users that neither pairs nor weights were fitted on; None without a pair."""

    @property
    def kept(self) -> bool:
        """Whether the pairs are shown to help."""
        return self.gain is not None and self.gain.shown_to_help

    def beside(self, now: LearnedSimilarities) -> LearnedSimilarities:
        """Return the similarities of now with those learned, if they are kept."""
        return merged(now, self.pairs) if self.kept else now


@dataclass(frozen=True)
class Evidence:
    """What similarities are learned from and tried on."""

    questions: Questions
    """With the values of all terms."""
    leaves: Leaves
    fitted: Flags
    """(t,) the terms whose weights are fitted"""
    now: Floats
    """(t,) weights of now"""
    similarities: LearnedSimilarities
    """Those of now."""
    spread: float
    """The encoder's: the value of the category term at a weight of 1 for the same category."""

    def __getitem__(self, rows: Flags) -> Evidence:
        """That of some slates, (n,)."""
        return replace(self, questions=self.questions[rows], leaves=self.leaves[rows])

    def fitting(self, pairs: Iterable[CategoryPair]) -> Questions:
        """Return the questions to fit weights on, with similarities beside those of now."""
        table = self.leaves.similarities(merged(self.similarities, pairs))
        own, others = self.leaves.own[:, None], self.leaves.others
        return self._with_category(np.where(others < 0, 0, self.spread * table[own, others]))

    def pairs(self, weights: Floats) -> list[CategoryPair]:
        """Return the pairs that are learned beside the other terms, whose weights (t,) were fitted."""
        questions, leaves = self.questions, self.leaves
        scores = self._with_category(np.zeros_like(questions.cosines)).scores(weights)
        same = leaves.others == leaves.own[:, None]
        appeals = appeal(scores, questions.grades, questions.importance, same)
        return learned_from(questions, leaves, appeals)

    def _with_category(self, values: Floats) -> Questions:
        """The questions to fit weights on, with other values (n, m) of the category at a weight of 1."""
        every = self.questions.values.copy()
        every[CATEGORY] = values
        return replace(self.questions, values=every).fixing(self.fitted, self.now)


def learn(evidence: Evidence, seed: int, folds: int) -> Learned:
    """Return the similarities that taps say, and what they add to nDCG.

    For each fold, similarities and weights are fitted on the others, and so are weights without them.
    """
    questions, now = evidence.fitting(()), evidence.now[evidence.fitted]
    every = np.ones(len(now), dtype=bool)
    pairs = tuple(evidence.pairs(search(questions, now, every)))
    if not pairs:
        return Learned((), None)
    gains = np.zeros(len(questions))
    for held_out in folds_of(questions.cluster, seed, folds):
        weights = search(questions[~held_out], now, every)
        beside = evidence.fitting(evidence[~held_out].pairs(weights))
        fitted = search(beside[~held_out], now, every)
        gains[held_out] = ndcg(beside[held_out], fitted) - ndcg(questions[held_out], weights)
    return Learned(pairs, interval(questions, gains))


def merged(now: LearnedSimilarities, pairs: Iterable[CategoryPair]) -> LearnedSimilarities:
    """Return the similarities of now with those of pairs, which replace what lies above or below them."""
    table: dict[CategoryPath, Mapping[CategoryPath, float]] = dict(now)
    for pair in pairs:
        others = table.get(pair.item, {})
        apart = {path: value for path, value in others.items() if not _overlap(path, pair.other)}
        table[pair.item] = {**apart, pair.other: pair.similarity}
    return table


def _overlap(path: CategoryPath, other: CategoryPath) -> bool:
    """Whether one of two categories is the other or above it."""
    return all(one == two for one, two in zip(path, other, strict=False))
