"""Similar items of one item: its stored document, one search, and wider ones where too few remain."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from mappings.identity import EncoderIdentity
from mappings.listing import ListingDocument, Status
from query.search.builder import KnnParameters, SimilarQuery, fallback_body, nearest_body, similar_body
from query.search.category_levels import CategoryCounts, PathCounts, levels_of
from query.search.filter_values import FilterValues
from query.search.hits import RankedHit, ranked
from query.search.policy import Rule, Selection, filled_up, select
from query.search.price_band import PriceBand, widening_bands
from query.search.ranking import Ranking
from query.search.reader import Answer, Found, IndexReader, RequestDeadline
from query.search.request import ResultPolicy, SimilarRequest

logger = logging.getLogger(__name__)

FALLBACK_NOT_ENCODED = "not_encoded"
FALLBACK_REMOVED = "removed"

DEPTH: Final = 4
"""The factor of a second search's window, when the rules left too few of the first."""


@dataclass(frozen=True)
class SimilarItems:
    """An answer, and everything needed to explain it."""

    found: Found
    query: SimilarQuery
    encoder: EncoderIdentity
    band: PriceBand
    steps_widened: int
    fallback_reason: str | None
    selection: Selection
    by_similarity: tuple[str, ...]
    """The ids of the nearest candidates by the photo alone, where an explanation was asked for."""
    deadline: RequestDeadline
    ranking: Ranking = field(default_factory=Ranking)
    asked_about: Mapping[str, ListingDocument | None] = field(default_factory=dict)
    """Item to its document, or None for an unknown one, where the answer says why each is missing."""

    @property
    def hits(self) -> tuple[RankedHit, ...]:
        """The items of the answer, best first."""
        return self.selection.shown


@dataclass(frozen=True)
class Attempt:
    """One search for an answer: its band, by its place among the wider ones, and its window."""

    step: int
    band: PriceBand
    query: SimilarQuery

    def body(self) -> dict[str, Any]:
        """Return the search body."""
        vector = query_vector(self.query.item)
        if vector is None:
            return fallback_body(self.query, self.band)
        return similar_body(self.query, vector, self.band)


class SimilarService:
    """Search for items similar to one."""

    def __init__(
        self,
        reader: IndexReader,
        knn: KnnParameters | None = None,
        policy: ResultPolicy | None = None,
        ranking: Ranking | None = None,
    ) -> None:
        self.reader = reader
        self.ranking = ranking or Ranking()
        self._policy = policy or ResultPolicy()
        self._counts = CategoryCounts(reader)
        self._filters = FilterValues(reader)
        self._knn = knn or KnnParameters()
        self._logged: set[str] = set()

    def similar(self, item_id: str, request: SimilarRequest) -> SimilarItems:
        """Find the items similar to one, in its price band or the narrowest wider one that fills the answer.

        Raises:
            UnknownItem: no such item.
            InvalidParameters: no listing has the value of a filter.
            NoLiveIndex, SearchUnavailable
        """
        deadline = self.reader.deadline()
        return self.similar_to(self.reader.find(item_id, deadline), request, deadline)

    def similar_to(
        self,
        found: Found,
        request: SimilarRequest,
        deadline: RequestDeadline,
        ranking: Ranking | None = None,
    ) -> SimilarItems:
        """Find the items similar to one whose document is known.

        The search goes to the index that the document is from: while aliases are swapped, a vector of one
        encoder must not be compared with those of another.

        ranking: another than the service's own.

        Raises:
            InvalidParameters: no listing has the value of a filter.
            NoLiveIndex, SearchUnavailable
        """
        request = self._filters.similar(found.index, request, deadline)
        encoder = self.reader.identity(found.index, deadline)
        bands = widening_bands(found.document.price, request.price_ratio)
        counts = self._counts.of(found.index, found.document, deadline)
        ranking = self._usable(ranking or self.ranking, found.index, encoder)
        policy = replace(self._policy, **request.rules)
        calibration = ranking.calibrated(encoder, policy)
        query = SimilarQuery(found.document, request, calibration, self._knn)
        attempt, selection = self._narrowest(found.index, query, policy, bands, counts, deadline)
        return SimilarItems(
            found=found,
            query=query,
            encoder=encoder,
            band=attempt.band,
            steps_widened=attempt.step,
            fallback_reason=fallback_reason(found.document),
            selection=selection,
            by_similarity=self._by_similarity(found.index, attempt, deadline),
            deadline=deadline,
            ranking=ranking,
            asked_about=self._asked_about(found.index, request, deadline),
        )

    def _usable(self, ranking: Ranking, index: str, encoder: EncoderIdentity) -> Ranking:
        """Return the ranking, or the one for other encoders: an answer is better than none after a swap."""
        problem = ranking.objection(index, encoder)
        if problem is None:
            return ranking
        if problem not in self._logged:
            self._logged.add(problem)
            logger.error("%s; the default ranks until then", problem)
        return ranking.otherwise or Ranking()

    def _asked_about(
        self, index: str, request: SimilarRequest, deadline: RequestDeadline
    ) -> dict[str, ListingDocument | None]:
        names = tuple(dict.fromkeys(request.explain_missing))
        return self.reader.find_all(index, names, deadline) if names else {}

    def _by_similarity(self, index: str, attempt: Attempt, deadline: RequestDeadline) -> tuple[str, ...]:
        """Find the ids of the nearest candidates before the re-rank, the item itself left out."""
        query = attempt.query
        vector = query_vector(query.item)
        if vector is None or not query.request.explain:
            return ()
        body = nearest_body(query, vector, attempt.band)
        ids = self.reader.search_ids(index, body, deadline, copy=query.item.item_id)
        return tuple(item_id for item_id in ids if item_id != query.item.item_id)

    def _narrowest(
        self,
        index: str,
        query: SimilarQuery,
        policy: ResultPolicy,
        bands: Sequence[PriceBand],
        counts: PathCounts,
        deadline: RequestDeadline,
    ) -> tuple[Attempt, Selection]:
        """Choose the attempt that fills the answer, and its selection.

        The first is made alone: it nearly always suffices. Where it does not, all others are made in one
        round trip.
        """
        item_id, size = query.item.item_id, query.request.size
        first = attempt_at(query, 0, bands[0], counts)
        answer = self.reader.search(index, first.body(), deadline, copy=item_id)
        selection = selected(query, policy, answer)
        if len(selection.shown) >= size:
            return first, selection
        deeper = not found_whole(first, answer, selection)
        floor = selection.window.floor
        others = list(further_attempts(first, bands, counts, floor=floor, deeper=deeper))
        if not others:
            return first, filled_up(selection, size)
        answers = self.reader.search_all(index, [each.body() for each in others], deadline, copy=item_id)
        below = {name: rule for name, rule in selection.removed.items() if rule is Rule.MIN_SIMILARITY}
        wider = (selected(query, policy, each) for each in answers)
        selections = [selection, *(replace(each, removed={**below, **each.removed}) for each in wider)]
        chosen = best_attempt(selections, size)
        return [first, *others][chosen], filled_up(selections[chosen], size)


def attempt_at(query: SimilarQuery, step: int, band: PriceBand, counts: PathCounts) -> Attempt:
    """Return the attempt of one band, with the levels to search in it."""
    levels = levels_of(query.item, query.request, band, counts)
    return Attempt(step, band, replace(query, levels=levels))


def found_whole(attempt: Attempt, answer: Answer, selection: Selection) -> bool:
    """Whether an attempt found every candidate above the floor.

    A search returns its `k` nearest, and the window holds the best of them. If fewer than either are above
    the floor, no other is.
    """
    query = attempt.query
    below = selection.counts()[Rule.MIN_SIMILARITY]
    k = query.knn.at(query.levels[0], query.request.size).k
    return len(answer.hits) - below < min(k, query.window)


def further_attempts(
    first: Attempt, bands: Sequence[PriceBand], counts: PathCounts, *, floor: float, deeper: bool
) -> Iterator[Attempt]:
    """Return the attempts after the first: its own band again if `deeper`, then the wider ones, as deep.

    What is below the floor is left out inside the search: to fetch it took most of a second search's time.
    A thin band is widened before a rule yields: the seller cap does at the end, the others never.
    """
    query = replace(first.query, floor=floor, depth=DEPTH if deeper else 1)
    for step, band in enumerate(bands):
        if step or deeper:
            yield attempt_at(query, step, band, counts)


def best_attempt(selections: Sequence[Selection], size: int) -> int:
    """The first attempt that fills the answer under the seller cap, or else without it."""
    counts = [len(each.shown) for each in selections]
    if max(counts) < size:
        counts = [len(filled_up(each, size).shown) for each in selections]
    return narrowest_sufficient(counts, size)


def selected(query: SimilarQuery, policy: ResultPolicy, answer: Answer) -> Selection:
    """The answer's candidates, without the item itself, ranked and under the rules."""
    item, request = query.item, query.request
    hits = [hit for hit in answer.hits if hit.document.item_id != item.item_id]
    candidates = ranked(query.calibration, item, hits, with_vector=query_vector(item) is not None)
    asked = policy.min_similarity
    floor = query.calibration.min_similarity if asked is None else asked
    return select(candidates, item, policy, request.size, floor, query.calibration.duplicates)


def narrowest_sufficient(counts: Sequence[int], size: int) -> int:
    """The first attempt that fills the answer, or else the first of those that come closest."""
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
