"""Items with their judged candidates, as arrays that weights are fitted on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calibration.documents import Live
from calibration.judged import Judged
from query.search.ranking import ADJUSTABLE, Calibration, Ranking
from query.search.terms.freshness import next_hour
from query.search.terms.similarity import Similarity
from query.search.terms.term import Columns

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]

JUDGED: Final = 5
"""The items of an answer that nDCG counts."""


@dataclass(frozen=True)
class Questions:
    """n items with up to m judged candidates each, in the order of their ids.

    An absent candidate has the cosine -inf and the grade 0.
    """

    cosines: Floats
    """(n, m)"""
    fixed: Floats
    """(n, m) sum of the terms whose weights are not fitted."""
    values: Floats
    """(t, n, m) values of t terms at a weight of 1."""
    grades: Floats
    """(n, m)"""
    importance: Floats
    """(n,) how much each counts in a mean."""
    cluster: Integers
    """(n,) those of one number are held out, and resampled, together."""

    def __len__(self) -> int:
        return len(self.cosines)

    def __getitem__(self, rows: Flags) -> Questions:
        """Those of some items, (n,)."""
        return Questions(
            self.cosines[rows],
            self.fixed[rows],
            self.values[:, rows],
            self.grades[rows],
            self.importance[rows],
            self.cluster[rows],
        )

    def fixing(self, fitted: Flags, now: Floats) -> Questions:
        """The same with the current weights (t,) for all terms but those that are fitted, (t,)."""
        fixed = self.fixed + np.tensordot(now[~fitted], self.values[~fitted], 1)
        return replace(self, fixed=fixed, values=self.values[fitted])

    def mean(self, values: Floats) -> float:
        """The mean of values (n,) by importance."""
        return float(np.average(values, weights=self.importance))

    def scores(self, weights: Floats) -> Floats:
        """(n, m) scores under weights (t,)."""
        return self.cosines + self.fixed + np.tensordot(weights, self.values, 1)

    def ndcg(self, scores: Floats) -> Floats:
        """(n,) nDCG of the first JUDGED by scores (n, m), of equal ones those with the lower id first."""
        ideal = discounted(-np.sort(-self.grades, axis=1)[:, :JUDGED])
        return discounted(best_grades(scores, self.grades)) / ideal


def best_grades(scores: Floats, grades: Floats) -> Floats:
    """(n, JUDGED) grades of the candidates with the highest scores (n, m), 0 where there are fewer."""
    left, rows = scores.copy(), np.arange(len(scores))
    best = np.zeros((len(scores), JUDGED))
    for place in range(JUDGED):
        first = left.argmax(axis=1)
        best[:, place] = np.where(np.isfinite(left[rows, first]), grades[rows, first], 0)
        left[rows, first] = -np.inf
    return best


def discounted(grades: Floats) -> Floats:
    """(n,) discounted cumulative gains of grades (n, k), best place first (Järvelin and Kekäläinen 2002)."""
    gains: Floats = grades @ (1 / np.log2(np.arange(grades.shape[1]) + 2))
    return gains


def fitted_terms(fixed: Iterable[str]) -> tuple[str, ...]:
    """Return the terms whose weights are fitted."""
    return tuple(name for name in ADJUSTABLE if name not in set(fixed))


def questions_of(judged: Sequence[Judged], live: Live, ranking: Ranking, fixed: Iterable[str]) -> Questions:
    """Compute the terms of all judged pairs.

    Where nothing says when a pair was seen, ages count from the newest listing, so that the same index gives
    the same weights at any time.
    """
    newest = max(each.created_at for one in judged for each in (one.item, *one.candidates))
    ones = ranking.with_weights(dict.fromkeys(ADJUSTABLE, 1.0))

    @lru_cache
    def at_weight_one(seen: datetime) -> Calibration:
        return ones.calibrated(live.encoder, now=seen)

    shape = len(judged), max(len(one.candidates) for one in judged)
    cosines, grades = np.full(shape, -np.inf), np.zeros(shape)
    values = np.zeros((len(ADJUSTABLE), *shape))
    for row, one in enumerate(judged):
        found, end = terms_of(at_weight_one(one.seen or next_hour(newest)), one), len(one.candidates)
        cosines[row, :end], grades[row, :end] = found[Similarity.name], one.grades
        values[:, row, :end] = [found[name] for name in ADJUSTABLE]
    every = Questions(
        cosines=cosines,
        fixed=np.zeros(shape),
        values=values,
        grades=grades,
        importance=np.array([one.importance for one in judged]),
        cluster=np.array([row if one.user is None else one.user for row, one in enumerate(judged)]),
    )
    return every.fixing(*fitted_of(ranking, fixed))


def fitted_of(ranking: Ranking, fixed: Iterable[str]) -> tuple[Flags, Floats]:
    """Return which of the terms are fitted, (t,), and their current weights, (t,)."""
    fitted = np.isin(ADJUSTABLE, fitted_terms(fixed))
    return fitted, np.array([ranking.weights[name] for name in ADJUSTABLE])


def terms_of(calibration: Calibration, one: Judged) -> dict[str, Floats]:
    """(m,) values of each term by name."""
    values = calibration.values(Columns.of([one.item]), Columns.of(one.candidates))
    return {name: np.asarray(each[0], np.float64) for name, each in values.items()}
