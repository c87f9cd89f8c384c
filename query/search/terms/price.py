"""The price term: how close the prices are."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mappings.listing import ListingDocument
from query.search.terms.term import Clause, Columns, Floats, Term

HALF_DISTANCE = 0.5
"""Half the term remains for a candidate that costs half as much more or less than the item."""

# Elasticsearch takes 1 for the sum where no function matches. This adds nothing to a 32-bit score.
_LEAST_WEIGHT = 1e-9


class Price(Term):
    """The full weight at the item's own price, less with distance: weight · 2^-(distance / 0.5)².

    Nothing for an item that is free or has no price.
    """

    name = "price"
    weight = 0.25  # measured in docs/decisions/151-ranking-weights.md
    needs_vector = True

    def functions(self, item: ListingDocument, weight: float) -> list[Clause]:
        """A gauss decay around the item's price, or next to nothing. It matches every candidate."""
        if not weight or not item.price:
            return [{"weight": _LEAST_WEIGHT}]
        near = {"origin": item.price, "scale": item.price * HALF_DISTANCE, "decay": 0.5}
        return [{"gauss": {"price": near}, "weight": weight}]

    def values(self, items: Columns, candidates: Columns, weight: float) -> Floats:
        """(items, candidates) values by the distance of the prices, relative to the item's."""
        own = items.price[:, None]
        values = (candidates.price[None, :] - own).astype(items.vectors.dtype)
        values /= np.where(own == 0, 1, own * HALF_DISTANCE).astype(values.dtype)
        np.square(values, out=values)
        np.negative(values, out=values)
        np.exp2(values, out=values)
        values *= np.where(own == 0, 0, weight).astype(values.dtype)
        return values

    def facts(self, item: ListingDocument, candidate: ListingDocument) -> Mapping[str, float]:
        """The candidate's price relative to the item's, where both have one."""
        if not item.price or candidate.price is None:
            return {}
        return {"price_ratio": round(candidate.price / item.price, 4)}
