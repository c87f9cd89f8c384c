"""Terms of attributes that two listings share: what gender, colour and brand have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mappings.listing import ListingDocument
from query.search.terms.term import IN_LIST, RANKED_ATTRIBUTES, Clause, Columns, Floats, Term, texts_of


class SharedAttribute(Term):
    """The whole weight for a candidate whose attribute has a value of the item's, nothing for others."""

    needs_vector = False
    attribute: ClassVar[str]
    """Its name in the listings."""

    def __init_subclass__(cls) -> None:
        """Have columns keep the attribute."""
        RANKED_ATTRIBUTES.add(cls.attribute)

    def functions(self, item: ListingDocument, weight: float) -> list[Clause]:
        """One function, if the item has the attribute and the term a weight."""
        texts = texts_of(item.attributes.get(self.attribute))
        if not weight or not texts:
            return []
        field = f"attributes.{self.attribute}"
        same: Clause = {"terms": {field: list(texts), "_name": self.name}}
        if len(texts) == 1:
            same = {"term": {field: {"value": texts[0], "_name": self.name}}}
        return [{"filter": same, "weight": weight}]

    def values(self, items: Columns, candidates: Columns, weight: float) -> Floats:
        """(items, candidates) the weight where both have a text in common."""
        shape = (len(items.price), len(candidates.price))
        own, other = (columns.attributes.get(self.attribute) for columns in (items, candidates))
        if not weight or own is None or other is None:
            return np.zeros(shape, items.vectors.dtype)
        return np.asarray(shared(own, other) * items.vectors.dtype.type(weight))

    def facts(self, item: ListingDocument, candidate: ListingDocument) -> Mapping[str, float]:
        """Whether the value is shared, 1 or 0, where the item has one."""
        own, other = (texts_of(each.attributes.get(self.attribute)) for each in (item, candidate))
        return {f"same_{self.name}": int(not set(own).isdisjoint(other))} if own else {}


def shared(own: NDArray[np.str_], other: NDArray[np.str_]) -> NDArray[np.bool_]:
    """(n, m) whether own and other, (n,) and (m,) columns of an attribute, have a text in common."""
    same: NDArray[np.bool_] = (own[:, None] == other[None, :]) & (own != "")[:, None]
    has_list = [np.char.find(each, IN_LIST) >= 0 for each in (own, other)]
    for row, column in np.argwhere(has_list[0][:, None] | has_list[1][None, :]):
        texts = set(str(own[row]).split(IN_LIST)) & set(str(other[column]).split(IN_LIST))
        same[row, column] = bool(texts - {""})
    return same
