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
    """(dims,) unit norm, of the photo that is most similar to the item's; of the first one in a fallback."""
    matched: tuple[str, ...] = ()
    photo: int = 0
    """The place of that photo among those of its listing that have a vector."""
    first: NDArray[np.float32] | None = None
    """(dims,) unit norm, of the first photo where another one is most similar."""

    @property
    def image_hash(self) -> str | None:
        """That of the photo that is most similar."""
        return (self.document.image_hash, *self.document.further_hashes)[self.photo]

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
    places = [_most_similar(item, hit) if with_vector else 0 for hit in hits]
    compared = [
        hit.further[place - 1] if place and hit.further is not None else hit.vector
        for hit, place in zip(hits, places, strict=True)
    ]
    vectors = np.array(compared) if with_vector and hits else None
    values = term_values(calibration, item, documents, with_vector=with_vector, vectors=vectors)
    found = [
        RankedHit(hit.document, terms, vector, hit.matched, place, hit.vector if place else None)
        for hit, terms, vector, place in zip(hits, values, compared, places, strict=True)
    ]
    if with_vector:
        found.sort(key=lambda hit: (-hit.score, hit.document.item_id))
    return tuple(found)


def _most_similar(item: ListingDocument, hit: Hit) -> int:
    """The place of the hit's photo that is most similar to the item's."""
    if hit.vector is None or hit.further is None:
        return 0
    return int(np.argmax(np.vstack([hit.vector, hit.further]) @ np.asarray(item.vector, np.float32)))
