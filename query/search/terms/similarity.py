"""The similarity term: the cosine of the two photos' vectors."""

from __future__ import annotations

from typing import Final

import numpy as np

from mappings.listing import ListingDocument
from query.search.terms.term import Clause, Columns, Floats, Term

KNN_BOOST: Final = 2.0
"""Elasticsearch scores (1 + cosine) / 2: doubled, the cosine plus 1, on the scale of the other terms."""


class Similarity(Term):
    """The cosine itself, from -1 to 1. The weights of the other terms are measured against it."""

    name = "similarity"
    weight = 1.0
    needs_vector = True
    adjustable = False

    def on_cosine_scale(self, weight: float, spread: float) -> float:  # noqa: ARG002  the cosine is the scale
        """The weight itself, which is not in spreads."""
        return weight

    def functions(self, item: ListingDocument, weight: float) -> list[Clause]:  # noqa: ARG002  see Term
        """None: the `knn` clause around which the functions are added scores it, boosted by KNN_BOOST."""
        return []

    def values(self, items: Columns, candidates: Columns, weight: float) -> Floats:
        """(items, candidates) cosines in the dtype of the vectors, clipped to 1."""
        cosines: Floats = items.vectors @ candidates.vectors.T
        np.clip(cosines, -1.0, 1.0, out=cosines)
        return cosines if weight == 1 else cosines * weight
