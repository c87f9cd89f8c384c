"""The category term: how much of the category path two listings share, or a learned similarity."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mappings.listing import ListingDocument, category_paths
from mappings.values import CATEGORY_SEPARATOR
from query.search.terms.term import Clause, Columns, Floats, Term

Path = tuple[str, ...]
LearnedSimilarities = Mapping[Path, Mapping[Path, float]]
"""Category of an item to other categories and their similarity to it, from 0 to 1. A category stands for all
below it. No two of one item's lie below each other."""


@dataclass(frozen=True)
class Category(Term):
    """The full weight for the same leaf category, an equal part of it for each shared level.

    Where the similarity of two categories was learned, the weight times that instead.
    """

    name = "category"
    weight = 8.0  # measured in docs/decisions/151-ranking-weights.md
    needs_vector = False

    learned: LearnedSimilarities = field(default_factory=dict, hash=False)

    def functions(self, item: ListingDocument, weight: float) -> list[Clause]:
        """One function for each level of the item's category, root first, and for each learned similarity.

        Elasticsearch refuses negative weights, so the levels leave out the categories with a learned one.
        """
        if not weight:
            return []
        paths = category_paths(item.category)
        by_similarity = _by_similarity(self.learned.get(item.category, {}))
        without = [path for group in by_similarity.values() for path in group]
        step = _step(weight, len(paths))
        levels = [
            {"filter": _level(path, f"{self.name}:{depth}", without), "weight": step}
            for depth, path in enumerate(paths, start=1)
        ]
        return levels + [
            {
                "filter": {
                    "terms": {"category_paths": group, "_name": f"{self.name}:learned:{similarity:g}"}
                },
                "weight": _learned_value(weight, similarity),
            }
            for similarity, group in by_similarity.items()
        ]

    def values(self, items: Columns, candidates: Columns, weight: float) -> Floats:
        """(items, candidates) values: a step for each level that the candidate shares."""
        steps = np.array([_step(weight, len(path)) for path in items.categories], items.vectors.dtype)
        table = _shared_levels(items.categories, candidates.categories) * steps[:, None]
        for row, path in enumerate(items.categories):
            for column, similarity in self._learned_columns(path, candidates.categories):
                table[row, column] = _learned_value(weight, similarity)
        values: Floats = table[items.category][:, candidates.category]
        return values

    def facts(self, item: ListingDocument, candidate: ListingDocument) -> Mapping[str, float]:
        """The number of shared levels, and the learned similarity where there is one."""
        shared = {"shared_depth": shared_depth(item.category, candidate.category)}
        known = [similarity for _, similarity in self._learned_columns(item.category, [candidate.category])]
        return shared | ({"learned_similarity": known[0]} if known else {})

    def _learned_columns(self, path: Path, others: Sequence[Path]) -> list[tuple[int, float]]:
        """The places of the others that have a learned similarity to a category, with it."""
        known = self.learned.get(path)
        if not known:
            return []
        return [
            (place, known[other[:depth]])
            for place, other in enumerate(others)
            for depth in range(1, len(other) + 1)
            if other[:depth] in known
        ]


def shared_depth(path: Sequence[str], other: Sequence[str]) -> int:
    """The number of levels that two category paths share, counted from the root."""
    depth = 0
    for name, other_name in zip(path, other, strict=False):
        if name != other_name:
            break
        depth += 1
    return depth


def _by_similarity(known: Mapping[Path, float]) -> dict[float, list[str]]:
    """Similarity to the category paths that have it."""
    groups: defaultdict[float, list[str]] = defaultdict(list)
    for path, similarity in known.items():
        groups[similarity].append(CATEGORY_SEPARATOR.join(path))
    return groups


def _level(path: str, name: str, without: Sequence[str]) -> Clause:
    """The filter of one level, without the categories at or below it that have a learned similarity."""
    below = [
        other for other in without if f"{other}{CATEGORY_SEPARATOR}".startswith(f"{path}{CATEGORY_SEPARATOR}")
    ]
    if not below:
        return {"term": {"category_paths": {"value": path, "_name": name}}}
    level, others = {"term": {"category_paths": path}}, {"terms": {"category_paths": below}}
    return {"bool": {"filter": [level], "must_not": [others], "_name": name}}


def _learned_value(weight: float, similarity: float) -> float:
    return round(weight * similarity, 6)


def _step(weight: float, depth: int) -> float:
    """The value of each shared level for an item whose path is `depth` levels deep."""
    return round(weight / depth, 6)


@lru_cache(maxsize=16)
def _shared_levels(
    paths: tuple[tuple[str, ...], ...], others: tuple[tuple[str, ...], ...]
) -> NDArray[np.int8]:
    """(paths, others) int values of `shared_depth`."""
    return np.array([[shared_depth(path, other) for other in others] for path in paths], dtype=np.int8)
