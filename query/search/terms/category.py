"""The category term: how much of the category path two listings share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mappings.listing import ListingDocument, category_paths
from query.search.terms.term import Clause, Columns, Floats, Term


class Category(Term):
    """The full weight for the same leaf category, an equal part of it for each shared level."""

    name = "category"
    weight = 8.0  # measured in docs/decisions/151-ranking-weights.md
    needs_vector = False

    def functions(self, item: ListingDocument, weight: float) -> list[Clause]:
        """One function for each level of the item's category, root first."""
        paths = category_paths(item.category)
        step = _step(weight, len(paths))
        return [
            {
                "filter": {"term": {"category_paths": {"value": path, "_name": f"category:{depth}"}}},
                "weight": step,
            }
            for depth, path in enumerate(paths, start=1)
        ]

    def values(self, items: Columns, candidates: Columns, weight: float) -> Floats:
        """(items, candidates) values: a step for each level that the candidate shares."""
        steps = np.array([_step(weight, len(path)) for path in items.categories], items.vectors.dtype)
        table = _shared_levels(items.categories, candidates.categories) * steps[:, None]
        values: Floats = table[items.category][:, candidates.category]
        return values

    def facts(self, item: ListingDocument, candidate: ListingDocument) -> Mapping[str, float]:
        """The number of shared levels."""
        return {"shared_depth": shared_depth(item.category, candidate.category)}


def shared_depth(path: Sequence[str], other: Sequence[str]) -> int:
    """The number of levels that two category paths share, counted from the root."""
    depth = 0
    for name, other_name in zip(path, other, strict=False):
        if name != other_name:
            break
        depth += 1
    return depth


def _step(weight: float, depth: int) -> float:
    """The value of each shared level for an item whose path is `depth` levels deep."""
    return round(weight / depth, 6)


@lru_cache(maxsize=16)
def _shared_levels(
    paths: tuple[tuple[str, ...], ...], others: tuple[tuple[str, ...], ...]
) -> NDArray[np.int8]:
    """(paths, others) int values of `shared_depth`."""
    return np.array([[shared_depth(path, other) for other in others] for path in paths], dtype=np.int8)
