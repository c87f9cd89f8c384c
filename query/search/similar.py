"""Similar items of one item: its stored document, one search, and wider ones where too few remain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mappings.identity import EncoderIdentity
from mappings.listing import ListingDocument, Status
from query.api.parameters import SimilarParameters
from query.search.builder import Reach, SimilarQuery, fallback_body, nearest_body, similar_body
from query.search.price_band import PriceBand, widening_bands
from query.search.ranking import DEFAULT_WEIGHTS, Calibration, Weights, cosine, shared_depth
from query.search.reader import Allowance, Answer, Found, Hit, IndexReader

FALLBACK_NOT_ENCODED = "not_encoded"
FALLBACK_REMOVED = "removed"


@dataclass(frozen=True)
class Terms:
    """What a candidate's score is the sum of, on the scale of the cosine."""

    similarity: float | None
    """The cosine of the two stored vectors; None in a fallback, where no pictures are compared."""
    category: float
    price: float

    @property
    def score(self) -> float:
        """The sum, to the six decimals that are shown: what looks equal is ordered by id."""
        return round((self.similarity or 0.0) + self.category + self.price, 6)


@dataclass(frozen=True)
class RankedHit:
    """One document of an answer, what its score is made of, and the names of the clauses that it matched."""

    document: ListingDocument
    terms: Terms
    matched: tuple[str, ...] = ()


@dataclass(frozen=True)
class SimilarItems:
    """An answer, and everything needed to say how it came about."""

    found: Found
    query: SimilarQuery
    encoder: EncoderIdentity
    band: PriceBand
    steps_widened: int
    fallback_reason: str | None
    hits: tuple[RankedHit, ...]
    by_similarity: tuple[str, ...]
    """The ids of the window by the picture alone, where an explanation was asked for."""
    allowance: Allowance


class SimilarService:
    """Answers which items are similar to one."""

    def __init__(self, reader: IndexReader, reach: Reach | None = None) -> None:
        self.reader = reader
        self._reach = reach or Reach()

    def similar(self, item_id: str, parameters: SimilarParameters) -> SimilarItems:
        """The items similar to one, from its own price band or the narrowest wider one that fills the answer.

        Raises:
            UnknownItem: no such item.
            NoLiveIndex, SearchUnavailable
        """
        allowance = self.reader.allowance()
        return self.similar_to(self.reader.find(item_id, allowance), parameters, allowance)

    def similar_to(
        self,
        found: Found,
        parameters: SimilarParameters,
        allowance: Allowance,
        weights: Weights = DEFAULT_WEIGHTS,
    ) -> SimilarItems:
        """The items similar to one whose document is at hand.

        The search goes to the very index that the document is from: while aliases are swapped, a vector
        of one encoder must not meet those of another.

        Raises:
            NoLiveIndex, SearchUnavailable
        """
        encoder = self.reader.identity(found.index, allowance)
        query = SimilarQuery(found.document, parameters, Calibration.of(encoder, weights), self._reach)
        bands = widening_bands(found.document.price, parameters.price_ratio)
        step, answer = self._widen(found.index, query, bands, allowance)
        return SimilarItems(
            found=found,
            query=query,
            encoder=encoder,
            band=bands[step],
            steps_widened=step,
            fallback_reason=fallback_reason(found.document),
            hits=ranked(query, answer.hits),
            by_similarity=self._by_similarity(found.index, query, bands[step], allowance),
            allowance=allowance,
        )

    def _by_similarity(
        self, index: str, query: SimilarQuery, band: PriceBand, allowance: Allowance
    ) -> tuple[str, ...]:
        """The ids of the window before the re-rank.

        Asked for apart: to fetch the documents of the whole window instead, only to rank them, made an
        explained answer take four times as long as a plain one.
        """
        vector = picture_of(query.item)
        if vector is None or not query.parameters.explain:
            return ()
        body = nearest_body(query, vector, band)
        return self.reader.search_ids(index, body, allowance, copy=query.item.item_id)

    def _widen(
        self, index: str, query: SimilarQuery, bands: Sequence[PriceBand], allowance: Allowance
    ) -> tuple[int, Answer]:
        """The step taken and its answer. The first band alone is asked for, as it nearly always suffices."""
        first, *wider = bands
        body, item_id, size = _body_of(query), query.item.item_id, query.parameters.size
        answers = [self.reader.search(index, body(first), allowance, copy=item_id)]
        if wider and len(answers[0].hits) < size:
            answers += self.reader.search_all(index, [body(band) for band in wider], allowance, copy=item_id)
        step = narrowest_sufficient([len(answer.hits) for answer in answers], size)
        return step, answers[step]


def terms(query: SimilarQuery, candidate: ListingDocument) -> Terms:
    """What a candidate's score is made of."""
    item, vector = query.item, picture_of(query.item)
    shared = shared_depth(item.category, candidate.category)
    category = query.calibration.category_term(shared, len(item.category))
    if vector is None or candidate.vector is None:
        return Terms(None, category, 0.0)
    price = query.calibration.price_term(item.price, candidate.price)
    return Terms(cosine(vector, candidate.vector), category, price)


def ranked(query: SimilarQuery, hits: Sequence[Hit]) -> tuple[RankedHit, ...]:
    """The hits by score, those of equal score by id.

    Elasticsearch has sorted them by its own score, which is less exact: a sum of 32 bits, and from quantised
    vectors where the index has them. A fallback's are sorted by date as well, and stay as they are.
    """
    found = [RankedHit(hit.document, terms(query, hit.document), hit.matched) for hit in hits]
    if picture_of(query.item) is not None:
        found.sort(key=lambda hit: (-hit.terms.score, hit.document.item_id))
    return tuple(found)


def narrowest_sufficient(counts: Sequence[int], size: int) -> int:
    """The first step that fills the answer, or else the first of those that come closest to it."""
    reachable = min(size, max(counts))
    return next(step for step, count in enumerate(counts) if count >= reachable)


def fallback_reason(item: ListingDocument) -> str | None:
    """Why an item cannot be asked about by its picture: a stable code, or None where it can."""
    if item.status is Status.REMOVED:
        return FALLBACK_REMOVED
    if item.vector is None:
        return item.photo_problem or FALLBACK_NOT_ENCODED
    return None


def picture_of(item: ListingDocument) -> tuple[float, ...] | None:
    """The vector to ask by, or None where a fallback has to do."""
    return item.vector if fallback_reason(item) is None else None


def _body_of(query: SimilarQuery) -> Callable[[PriceBand], dict[str, Any]]:
    """The search body for each price band."""
    vector = picture_of(query.item)
    if vector is None:
        return lambda band: fallback_body(query, band)
    return lambda band: similar_body(query, vector, band)
