"""How popular a listing is, by the number that its marketplace gives it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from mappings.listing import ListingDocument
from query.search.terms.term import Clause, Columns, Floats, Term

FULL_POPULARITY: Final = 100.0
"""The popularity from which on a listing has the full weight, where no ranking file says otherwise."""

_BEYOND: Final = 100.0
"""More than any `popularity_log`: the highest popularity is 10¹², whose logarithm is 28."""


@dataclass(frozen=True)
class Popularity(Term):
    """The full weight from `full` on: weight · min(1, ln(1 + popularity) / ln(1 + full)).

    A logarithm, because a few listings have most of the likes. A listing without a popularity has 0.
    """

    name = "popularity"
    weight = 0.0  # off until it is calibrated or set: not every marketplace sends a popularity
    needs_vector = True

    full: float = FULL_POPULARITY

    def functions(self, item: ListingDocument, weight: float) -> list[Clause]:  # noqa: ARG002  see Term
        """A linear decay below `full`, if the term has a weight.

        It falls on one side alone: its origin lies beyond any popularity, and its offset reaches down to
        `full`. The filter is for documents without the field, which would get the whole weight.
        """
        if not weight:
            return []
        top = math.log1p(self.full)
        below = {"origin": top + _BEYOND, "offset": _BEYOND, "scale": top / 2, "decay": 0.5}
        known = {"exists": {"field": "popularity_log"}}
        return [{"filter": known, "linear": {"popularity_log": below}, "weight": weight}]

    def values(self, items: Columns, candidates: Columns, weight: float) -> Floats:
        """(items, candidates) values by the candidates' popularities."""
        shape = (len(items.price), len(candidates.price))
        if not weight or not len(candidates.popularity):
            return np.zeros(shape, items.vectors.dtype)
        values = weight * np.minimum(1, np.log1p(candidates.popularity) / math.log1p(self.full))
        return np.tile(values.astype(items.vectors.dtype), (shape[0], 1))

    def facts(self, item: ListingDocument, candidate: ListingDocument) -> Mapping[str, float]:  # noqa: ARG002
        """The candidate's popularity, where it has one."""
        return {} if candidate.popularity is None else {"popularity": candidate.popularity}
