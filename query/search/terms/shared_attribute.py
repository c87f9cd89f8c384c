"""Terms of attributes that two listings share: what gender, colour and brand have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from mappings.listing import ListingDocument
from query.search.terms.term import RANKED_ATTRIBUTES, Clause, Columns, Floats, Term


class SharedAttribute(Term):
    """The whole weight for a candidate whose attribute has the item's value, nothing for others."""

    needs_vector = False
    attribute: ClassVar[str]
    """Its name in the listings."""

    def __init_subclass__(cls) -> None:
        """Have columns keep the attribute."""
        RANKED_ATTRIBUTES.add(cls.attribute)

    def functions(self, item: ListingDocument, weight: float) -> list[Clause]:
        """One function, if the item has the attribute and the term a weight."""
        value = item.attributes.get(self.attribute)
        if not weight or not isinstance(value, str):
            return []
        same = {"term": {f"attributes.{self.attribute}": {"value": value, "_name": self.name}}}
        return [{"filter": same, "weight": weight}]

    def values(self, items: Columns, candidates: Columns, weight: float) -> Floats:
        """(items, candidates) the weight where both have the same text."""
        shape = (len(items.price), len(candidates.price))
        own, other = (columns.attributes.get(self.attribute) for columns in (items, candidates))
        if not weight or own is None or other is None:
            return np.zeros(shape, items.vectors.dtype)
        same = (own[:, None] == other[None, :]) & (own != "")[:, None]
        return np.asarray(same * items.vectors.dtype.type(weight))

    def facts(self, item: ListingDocument, candidate: ListingDocument) -> Mapping[str, float]:
        """Whether the value is shared, 1 or 0, where the item has one."""
        value = item.attributes.get(self.attribute)
        if not isinstance(value, str):
            return {}
        return {f"same_{self.name}": int(candidate.attributes.get(self.attribute) == value)}
