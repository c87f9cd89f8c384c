"""Items with their judged candidates, as arrays that weights are fitted on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from calibration.documents import Live, documents_of
from calibration.judgments import Judgments
from mappings.listing import ListingDocument
from query.search.ranking import ADJUSTABLE, Calibration, Ranking
from query.search.terms.freshness import next_hour
from query.search.terms.similarity import Similarity
from query.search.terms.term import Columns

Floats = NDArray[np.float64]

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

    def __len__(self) -> int:
        return len(self.cosines)

    def __getitem__(self, rows: NDArray[np.bool_]) -> Questions:
        """Those of some items, (n,)."""
        return Questions(self.cosines[rows], self.fixed[rows], self.values[:, rows], self.grades[rows])

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


@dataclass(frozen=True)
class Judged:
    """One item with a vector, and its judged candidates with vectors, in the order of their ids."""

    item: ListingDocument
    candidates: Sequence[ListingDocument]
    grades: Sequence[float]

    @property
    def tells(self) -> bool:
        """Whether an order of the candidates can be better than another."""
        return len(set(self.grades)) > 1


@dataclass(frozen=True)
class Collected:
    """The judged items that weights are fitted on, and what was left out."""

    judged: tuple[Judged, ...]
    unknown: int
    """Ids that are not in the live index."""
    without_vector: int
    """Ids whose listing has no vector."""
    undecided: int
    """Items whose candidates in the index all have one grade."""

    @property
    def pairs(self) -> int:
        """The number of judged pairs."""
        return sum(len(each.grades) for each in self.judged)


def collect(live: Live, judgments: Judgments) -> Collected:
    """Read the documents of the items and candidates from the live index.

    Raises:
        NoLiveIndex, SearchUnavailable
    """
    ids = sorted({*judgments, *(other for of in judgments.values() for other in of)})
    found = dict(zip(ids, documents_of(live, ids), strict=True))
    usable = {name: document for name, document in found.items() if document and document.vector}
    judged = [judged_of(item, judgments[item], usable) for item in sorted(judgments) if item in usable]
    unknown = sum(document is None for document in found.values())
    telling = tuple(each for each in judged if each.tells)
    return Collected(telling, unknown, len(found) - unknown - len(usable), len(judged) - len(telling))


def judged_of(item: str, grades: Mapping[str, float], usable: Mapping[str, ListingDocument]) -> Judged:
    """Return an item with those of its candidates that have a vector."""
    others = [other for other in sorted(grades) if other in usable]
    return Judged(usable[item], [usable[other] for other in others], [grades[other] for other in others])


def fitted_terms(fixed: Iterable[str]) -> tuple[str, ...]:
    """Return the terms whose weights are fitted."""
    return tuple(name for name in ADJUSTABLE if name not in set(fixed))


def questions_of(judged: Sequence[Judged], live: Live, ranking: Ranking, fixed: Sequence[str]) -> Questions:
    """Compute the terms of all judged pairs.

    Ages count from the newest listing, so that the same index gives the same weights at any time.
    """
    newest = max(each.created_at for one in judged for each in (one.item, *one.candidates))
    unit = ranking.with_weights(dict.fromkeys(ADJUSTABLE, 1.0)).calibrated(
        live.encoder, now=next_hour(newest)
    )
    width = max(len(one.candidates) for one in judged)
    terms = fitted_terms(fixed)
    cosines = np.full((len(judged), width), -np.inf)
    others, grades = np.zeros_like(cosines), np.zeros_like(cosines)
    values = np.zeros((len(terms), *cosines.shape))
    for row, one in enumerate(judged):
        found, end = terms_of(unit, one), len(one.candidates)
        cosines[row, :end], grades[row, :end] = found[Similarity.name], one.grades
        others[row, :end] = sum((ranking.weights[name] * found[name] for name in fixed), np.zeros(end))
        values[:, row, :end] = [found[name] for name in terms]
    return Questions(cosines, others, values, grades)


def terms_of(calibration: Calibration, one: Judged) -> dict[str, Floats]:
    """(m,) values of each term by name."""
    values = calibration.values(Columns.of([one.item]), Columns.of(one.candidates))
    return {name: np.asarray(each[0], np.float64) for name, each in values.items()}
