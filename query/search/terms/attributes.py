"""Attributes that two listings share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from mappings.listing import ListingDocument
from query.search.terms.term import Clause, Columns, Floats, Term


class SharedAttribute(Term):
    """The whole weight for a candidate whose attribute has the item's value, nothing for others."""

    needs_vector = False
    attribute: ClassVar[str]
    """Its name in the listings."""

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


class Gender(SharedAttribute):
    """For whom a product is made, which its photo does not always show."""

    name = "gender"
    attribute = "gender"
    weight = 2.0  # measured in docs/decisions/151-ranking-weights.md


class Colour(SharedAttribute):
    """The colour that the seller names."""

    name = "colour"
    attribute = "colour"
    weight = 0.25  # measured in docs/decisions/151-ranking-weights.md


class Brand(SharedAttribute):
    """The brand. Off until it is calibrated: the listings that the weights were measured on have none."""

    name = "brand"
    attribute = "brand"
    weight = 0.0
