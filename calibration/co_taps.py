"""The similarity of categories, learned from taps across them.

Whoever looks at an item of one category and taps an item of another says that the two are alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from scipy.stats import norm

from calibration.judged import Judged
from calibration.questions import Flags, Floats, Integers, Questions
from ml.metrics.significance import holm
from query.search.terms.category import Category, LearnedSimilarities
from query.search.terms.category import Path as CategoryPath
from query.search.terms.term import Columns

PRIOR_TAPS: Final = 10.0
"""Expected taps that the shared depth of two categories counts as."""

LEAST_EXPECTED: Final = 10.0
"""Taps that a pair would have if its categories were one; with fewer, nothing is learned of it."""

LEAST_USERS: Final = 20
"""Users who tapped an item of either category on a slate with both; the normal approximation of the test
needs some."""

LEAST_DIFFERENCE: Final = 0.1
"""From the similarity in use. Less moves a candidate by less than a spread of the cosine at the default
weight."""

LEVEL: Final = 0.05
"""Of the test, corrected for the number of pairs."""


@dataclass(frozen=True)
class Leaves:
    """The leaf categories of n items and their m candidates."""

    paths: tuple[CategoryPath, ...]
    own: Integers
    """(n,) row of `paths`"""
    others: Integers
    """(n, m) -1 for an absent candidate"""

    @classmethod
    def of(cls, judged: Sequence[Judged]) -> Leaves:
        """Look them up."""
        paths = sorted({each.category for one in judged for each in (one.item, *one.candidates)})
        rows = {path: row for row, path in enumerate(paths)}
        others = np.full((len(judged), max(len(one.candidates) for one in judged)), -1)
        for row, one in enumerate(judged):
            others[row, : len(one.candidates)] = [rows[each.category] for each in one.candidates]
        return cls(tuple(paths), np.array([rows[one.item.category] for one in judged]), others)

    def __getitem__(self, rows: Flags) -> Leaves:
        """Those of some items, (n,)."""
        return Leaves(self.paths, self.own[rows], self.others[rows])

    def similarities(self, learned: LearnedSimilarities) -> Floats:
        """(p, p) similarity of each path to each other: learned, or the share of its levels."""
        count = len(self.paths)
        nothing = np.zeros(count)
        columns = Columns(np.empty((count, 0)), self.paths, np.arange(count), nothing, nothing)
        return np.asarray(Category(learned).values(columns, columns, 1.0), np.float64)


class Cells(NamedTuple):
    """Each slate with each category in it that is not the query item's, if that is in it, too: (c,) each."""

    own: Integers
    """Row of the query item's category"""
    other: Integers
    """Row of the other category"""
    user: Integers
    taps: Floats
    """On the other category, times the own category's share of the appeal of the two"""
    expected: Floats
    """Taps on the own category, times the other's share"""


@dataclass(frozen=True)
class CategoryPair:
    """What taps say of one category for items of another."""

    item: CategoryPath
    other: CategoryPath
    taps: float
    expected: float
    """Taps, if the other category were as wanted as the item's own."""
    users: int
    shared: float
    """Share of the item's path that the other has in common."""
    current: float
    """Similarity in use."""
    p: float
    """Of a difference of at most LEAST_DIFFERENCE from the current similarity; not corrected."""

    @property
    def similarity(self) -> float:
        """Taps over expected ones, smoothed by PRIOR_TAPS of the shared levels, to hundredths."""
        smoothed = (self.taps + PRIOR_TAPS * self.shared) / (self.expected + PRIOR_TAPS)
        return round(min(1.0, smoothed), 2)


def cells_of(questions: Questions, leaves: Leaves, appeals: Floats) -> Cells:
    """Count the taps on slates that show a query item's category beside another.

    Taps over expected ones is the rate ratio of Mantel and Haenszel with slates as strata (Rothman,
    Greenland and Lash 2008, chapter 15): how often an item of the other category is tapped, relative to one
    of the own category on the same slate. What differs between slates, such as who looks and how alike
    everything on them is, has no effect, and slates without a tap add nothing. An item counts by its appeal,
    so that a category whose items are shown for a better picture or colour is not taken for a closer one.

    appeals: (n, m) how often an item is tapped for all but its category, relative to others of the slate.
    """
    slate, place = np.nonzero(leaves.others >= 0)
    width = len(leaves.paths)
    keys, cell = np.unique(slate * width + leaves.others[slate, place], return_inverse=True)
    weight = questions.importance[slate] * (questions.grades[slate, place] > 0)
    shown, tapped = np.bincount(cell, appeals[slate, place]), np.bincount(cell, weight)
    slate, other = np.divmod(keys, width)
    own = leaves.own[slate]
    at_own = np.minimum(np.searchsorted(keys, slate * width + own), len(keys) - 1)
    both = (keys[at_own] == slate * width + own) & (other != own)
    slate, own, other, at_own, shown_there = (each[both] for each in (slate, own, other, at_own, shown))
    items = shown_there + shown[at_own]
    taps, expected = tapped[both] * shown[at_own] / items, tapped[at_own] * shown_there / items
    return Cells(own, other, questions.cluster[slate], taps, expected)


def pairs_of(
    questions: Questions, leaves: Leaves, appeals: Floats, current: LearnedSimilarities
) -> Iterator[CategoryPair]:
    """Yield what taps say of each pair of categories that some slate shows together.

    current: the similarities in use.
    """
    cells = cells_of(questions, leaves, appeals)
    shared, in_use = leaves.similarities({}), leaves.similarities(current)
    number = cells.own * len(leaves.paths) + cells.other
    order = np.argsort(number, kind="stable")
    starts = np.flatnonzero(np.diff(number[order], prepend=-1))
    for rows in np.split(order, starts[1:]) if len(order) else ():
        own, other = int(cells.own[rows[0]]), int(cells.other[rows[0]])
        similarity = float(in_use[own, other])
        taps, expected, users = by_user(cells.taps[rows], cells.expected[rows], cells.user[rows])
        yield CategoryPair(
            item=leaves.paths[own],
            other=leaves.paths[other],
            taps=float(taps.sum()),
            expected=float(expected.sum()),
            users=users,
            shared=float(shared[own, other]),
            current=similarity,
            p=p_of_difference(taps, expected, similarity),
        )


def by_user(taps: Floats, expected: Floats, users: Integers) -> tuple[Floats, Floats, int]:
    """Return the sums for each of u users, (u,) each, and how many users have any. All given: (c,)."""
    _, code = np.unique(users, return_inverse=True)
    tapped = np.asarray(np.bincount(code, taps), np.float64)
    wanted = np.asarray(np.bincount(code, expected), np.float64)
    return tapped, wanted, int(np.count_nonzero(tapped + wanted))


def p_of_difference(taps: Floats, expected: Floats, similarity: float) -> float:
    """Return the p-value of taps over expected ones within LEAST_DIFFERENCE of a similarity.

    A score test in each direction with users as clusters, doubled because there are two. A test
    against the similarity itself would reject a similarity of 0 for any tap at all.

    taps, expected: (u,) of each user.
    """
    more = z_score(taps - (similarity + LEAST_DIFFERENCE) * expected)
    less = -z_score(taps - (similarity - LEAST_DIFFERENCE) * expected)
    return min(1.0, 2 * float(norm.sf(max(more, less))))


def z_score(differences: Floats) -> float:
    """Return the sum of differences (u,) in its standard deviations if their mean were 0."""
    spread = float(np.sqrt(np.square(differences).sum()))
    return float(differences.sum()) / spread if spread else 0.0


def learned_from(
    questions: Questions, leaves: Leaves, appeals: Floats, current: LearnedSimilarities
) -> list[CategoryPair]:
    """Return the pairs whose similarity differs from the current one, the strongest evidence first.

    A category above another of the log is left out: its similarity would hold for the other, too.
    """
    above = {path[:depth] for path in leaves.paths for depth in range(1, len(path))}
    tried = [
        pair
        for pair in pairs_of(questions, leaves, appeals, current)
        if pair.expected >= LEAST_EXPECTED and pair.users >= LEAST_USERS and pair.other not in above
    ]
    corrected = holm([pair.p for pair in tried])
    found = [
        pair
        for pair, p in zip(tried, corrected, strict=True)
        if p < LEVEL and abs(pair.similarity - pair.current) >= LEAST_DIFFERENCE
    ]
    return sorted(found, key=lambda pair: (pair.p, pair.item, pair.other))
