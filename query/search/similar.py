"""Similar items of one item: its stored document, one search, and wider ones where too few remain."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mappings.identity import EncoderIdentity
from mappings.listing import ListingDocument, Status
from query.search.builder import KnnParameters, SimilarQuery, fallback_body, nearest_body, similar_body
from query.search.price_band import PriceBand, widening_bands
from query.search.ranking import DEFAULT_WEIGHTS, Calibration, Weights, term_values
from query.search.reader import Answer, Found, Hit, IndexReader, RequestDeadline
from query.search.request import SimilarRequest
from query.search.terms.similarity import Similarity

FALLBACK_NOT_ENCODED = "not_encoded"
FALLBACK_REMOVED = "removed"


@dataclass(frozen=True)
class RankedHit:
    """One document of an answer, the terms of its score, and the names of the clauses that it matched."""

    document: ListingDocument
    terms: Mapping[str, float]
    """Name of each ranking term to its value, to six decimals. A fallback has those that need no vector."""
    matched: tuple[str, ...] = ()

    @property
    def score(self) -> float:
        """The sum of the terms, rounded to six decimals, so that scores shown as equal are ordered by id."""
        return round(sum(self.terms.values()), 6)

    @property
    def similarity(self) -> float | None:
        """The cosine of the two stored vectors; None in a fallback, where no vectors are compared."""
        return self.terms.get(Similarity.name)


@dataclass(frozen=True)
class SimilarItems:
    """An answer, and everything needed to explain it."""

    found: Found
    query: SimilarQuery
    encoder: EncoderIdentity
    band: PriceBand
    steps_widened: int
    fallback_reason: str | None
    hits: tuple[RankedHit, ...]
    by_similarity: tuple[str, ...]
    """The ids of the window by the picture alone, where an explanation was asked for."""
    deadline: RequestDeadline


class SimilarService:
    """Search for items similar to one."""

    def __init__(self, reader: IndexReader, knn: KnnParameters | None = None) -> None:
        self.reader = reader
        self._knn = knn or KnnParameters()

    def similar(self, item_id: str, request: SimilarRequest) -> SimilarItems:
        """Find the items similar to one, in its price band or the narrowest wider one that fills the answer.

        Raises:
            UnknownItem: no such item.
            NoLiveIndex, SearchUnavailable
        """
        deadline = self.reader.deadline()
        return self.similar_to(self.reader.find(item_id, deadline), request, deadline)

    def similar_to(
        self,
        found: Found,
        request: SimilarRequest,
        deadline: RequestDeadline,
        weights: Weights = DEFAULT_WEIGHTS,
    ) -> SimilarItems:
        """Find the items similar to one whose document is known.

        The search goes to the index that the document is from: while aliases are swapped, a vector of one
        encoder must not be compared with those of another.

        Raises:
            NoLiveIndex, SearchUnavailable
        """
        encoder = self.reader.identity(found.index, deadline)
        query = SimilarQuery(found.document, request, Calibration.of(encoder, weights), self._knn)
        bands = widening_bands(found.document.price, request.price_ratio)
        step, answer = self._widen(found.index, query, bands, deadline)
        return SimilarItems(
            found=found,
            query=query,
            encoder=encoder,
            band=bands[step],
            steps_widened=step,
            fallback_reason=fallback_reason(found.document),
            hits=ranked(query, answer.hits),
            by_similarity=self._by_similarity(found.index, query, bands[step], deadline),
            deadline=deadline,
        )

    def _by_similarity(
        self, index: str, query: SimilarQuery, band: PriceBand, deadline: RequestDeadline
    ) -> tuple[str, ...]:
        """Find the ids of the window before the re-rank.

        This is a separate search: fetching the documents of the whole window, only to rank them, made an
        explained answer take four times as long as a plain one.
        """
        vector = query_vector(query.item)
        if vector is None or not query.request.explain:
            return ()
        body = nearest_body(query, vector, band)
        return self.reader.search_ids(index, body, deadline, copy=query.item.item_id)

    def _widen(
        self, index: str, query: SimilarQuery, bands: Sequence[PriceBand], deadline: RequestDeadline
    ) -> tuple[int, Answer]:
        """Choose a band; return its index and answer. The first is tried alone: it nearly always suffices."""
        first, *wider = bands
        body, item_id, size = _body_of(query), query.item.item_id, query.request.size
        answers = [self.reader.search(index, body(first), deadline, copy=item_id)]
        if wider and len(answers[0].hits) < size:
            answers += self.reader.search_all(index, [body(band) for band in wider], deadline, copy=item_id)
        step = narrowest_sufficient([len(answer.hits) for answer in answers], size)
        return step, answers[step]


def ranked(query: SimilarQuery, hits: Sequence[Hit]) -> tuple[RankedHit, ...]:
    """Sort the hits by score, those of equal score by id.

    Elasticsearch has sorted them by its own score, which is less exact: a 32-bit sum, from quantised vectors
    if the index has them. Hits of a fallback are sorted by date as well, and keep that order.
    """
    with_vector = query_vector(query.item) is not None
    values = term_values(
        query.calibration, query.item, [hit.document for hit in hits], with_vector=with_vector
    )
    found = [RankedHit(hit.document, terms, hit.matched) for hit, terms in zip(hits, values, strict=True)]
    if with_vector:
        found.sort(key=lambda hit: (-hit.score, hit.document.item_id))
    return tuple(found)


def narrowest_sufficient(counts: Sequence[int], size: int) -> int:
    """The first step that fills the answer, or else the first of those that come closest."""
    reachable = min(size, max(counts))
    return next(step for step, count in enumerate(counts) if count >= reachable)


def fallback_reason(item: ListingDocument) -> str | None:
    """A stable code for why an item has no vector to search by, or None if it has one."""
    if item.status is Status.REMOVED:
        return FALLBACK_REMOVED
    if item.vector is None:
        return item.photo_problem or FALLBACK_NOT_ENCODED
    return None


def query_vector(item: ListingDocument) -> tuple[float, ...] | None:
    """The vector to search by, or None if the answer must be a fallback."""
    return item.vector if fallback_reason(item) is None else None


def _body_of(query: SimilarQuery) -> Callable[[PriceBand], dict[str, Any]]:
    """The search body for each price band."""
    vector = query_vector(query.item)
    if vector is None:
        return lambda band: fallback_body(query, band)
    return lambda band: similar_body(query, vector, band)
