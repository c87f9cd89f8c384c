"""Hits of a search, ranked by the sum of their terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mappings.listing import ListingDocument
from query.search.ranking import Calibration, term_values
from query.search.terms.similarity import Similarity


@dataclass(frozen=True)
class Hit:
    """One document of an answer."""

    document: ListingDocument
    vector: NDArray[np.float32] | None = None
    """(dims,) unit norm, where the search asked for it and the document has one."""
    further: NDArray[np.float32] | None = None
    """(n, dims) unit norm: those of its other photos, where the index has them."""
    matched: tuple[str, ...] = ()
    """The names of the clauses that it matched."""


@dataclass(frozen=True)
class RankedHit:
    """One document of an answer, the terms of its score, and the names of the clauses that it matched."""

    document: ListingDocument
    terms: Mapping[str, float]
    """Name of each ranking term to its value, to six decimals. A fallback has those that need no vector."""
    vector: NDArray[np.float32] | None = None
    """(dims,) unit norm, of the photo that is most similar; None in a fallback."""
    matched: tuple[str, ...] = ()

    @property
    def score(self) -> float:
        """The sum of the terms, to six decimals: what is shown as equal is ordered by id."""
        return round(sum(self.terms.values()), 6)

    @property
    def similarity(self) -> float | None:
        """The cosine of the item's vector and `vector`; None in a fallback, where no vectors are compared."""
        return self.terms.get(Similarity.name)


def ranked(
    calibration: Calibration, item: ListingDocument, hits: Sequence[Hit], *, with_vector: bool
) -> tuple[RankedHit, ...]:
    """The hits by score, those of equal score by id.

    Elasticsearch has sorted them by its own score, which is less exact: a 32-bit sum, from quantised vectors
    if the index has them. Hits of a fallback are sorted by date as well, and keep that order.
    """
    documents = [hit.document for hit in hits]
    compared = [_most_similar(item, hit) if with_vector else hit.vector for hit in hits]
    vectors = np.array(compared) if with_vector and hits else None
    values = term_values(calibration, item, documents, with_vector=with_vector, vectors=vectors)
    found = [
        RankedHit(hit.document, terms, vector, hit.matched)
        for hit, terms, vector in zip(hits, values, compared, strict=True)
    ]
    if with_vector:
        found.sort(key=lambda hit: (-hit.score, hit.document.item_id))
    return tuple(found)


def _most_similar(item: ListingDocument, hit: Hit) -> NDArray[np.float32] | None:
    """The vector of the hit's photo that is most similar to the item's."""
    if hit.vector is None or hit.further is None:
        return hit.vector
    vectors = np.vstack([hit.vector, hit.further])
    return np.asarray(vectors[np.argmax(vectors @ np.asarray(item.vector, np.float32))])
