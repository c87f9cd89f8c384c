"""Similar items of one item: its stored document, one search, and wider ones where too few remain."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from mappings.identity import EncoderIdentity
from mappings.listing import ListingDocument, Status
from query.search.builder import KnnParameters, SimilarQuery, fallback_body, nearest_body, similar_body
from query.search.category_levels import CategoryCounts, PathCounts, emphasis_of, levels_of
from query.search.cursor import MAX_SHOWN, Cursor, decode, digest, encode, first_page, question
from query.search.filter_values import FilterValues
from query.search.hits import RankedHit, ranked
from query.search.policy import Rule, Selection, filled_up, page_of, select
from query.search.price_band import PriceBand, widening_bands
from query.search.ranking import Ranking
from query.search.reader import Answer, Found, IndexReader, RequestDeadline
from query.search.recent import Recent
from query.search.request import SimilarRequest
from query.search.result_policy import ResultPolicy

logger = logging.getLogger(__name__)

FALLBACK_NOT_ENCODED = "not_encoded"
FALLBACK_REMOVED = "removed"

WIDER: Final = 4
"""Candidates for each item of the answer in a search of a wider band."""

DEEPER: Final = 12
"""The same where the rules left too few of a full window."""


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
    has_shown: Callable[[str], bool] = lambda _: False
    """Whether an item is on a page before this one."""
    next_cursor: str | None = None
    """For the next page, where there may be one."""
    index_changed: bool | None = None
    """Whether the index may have changed since the first page; None on it, or if that cannot be known."""

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

    @property
    def most_hits(self) -> int:
        """The number of hits below which the search has found every candidate above its floor.

        It returns its `k` nearest, and the window holds the best of them.
        """
        k = self.query.knn.at(self.query.levels[0], self.query.window).k
        return min(k, self.query.window)


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
        self._states: Recent[str, str] = Recent()
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
        asked = question(found.document.item_id, request)
        before = self._position(found.index, request, asked, deadline)
        with deadline.stage("filters"):
            request = self._filters.similar(found.index, request, deadline)
        encoder = self.reader.identity(found.index, deadline)
        bands = widening_bands(found.document.price, request.price_ratio)
        with deadline.stage("counts"):
            counts = self._counts.of(found.index, found.document, request, deadline)
        ranking = self._usable(ranking or self.ranking, found.index, encoder)
        policy = replace(self._policy, **request.rules)
        calibration = ranking.calibrated(encoder, policy)
        query = SimilarQuery(
            found.document,
            request,
            calibration,
            self._knn,
            depth=depth_for(policy),
            shown_before=len(before.shown),
            photos=self.reader.photos(found.index, deadline),
            emphasis=emphasis_of(
                found.document, request, ranking, calibration.weights, encoder.similarity_spread
            ),
        )
        attempt, selection = self._narrowest(found.index, query, policy, bands, counts, deadline)
        selection = page_of(selection, before.has_shown, request.size)
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
            has_shown=before.has_shown,
            next_cursor=self._next_cursor(found.index, before, query, selection, asked, deadline),
            index_changed=self._changed(found.index, before, deadline) if request.cursor else None,
        )

    def _usable(self, ranking: Ranking, index: str, encoder: EncoderIdentity) -> Ranking:
        """Return the ranking, or the one for other encoders: an answer is better than none after a swap."""
        problem = ranking.objection(index, encoder)
        if problem is not None and problem not in self._logged:
            self._logged.add(problem)
            logger.error("%s; the default ranks until then", problem)
        return ranking.applied_to(index, encoder)

    def _position(self, index: str, request: SimilarRequest, asked: str, deadline: RequestDeadline) -> Cursor:
        """The position after the pages before.

        Raises:
            UnusableCursor
        """
        if request.cursor is None:
            return first_page(self._states.of(index, lambda: self.reader.state(index, deadline)))
        return decode(request.cursor, asked, self.reader.uuid(index, deadline))

    def _next_cursor(
        self,
        index: str,
        before: Cursor,
        query: SimilarQuery,
        selection: Selection,
        asked: str,
        deadline: RequestDeadline,
    ) -> str | None:
        if len(selection.shown) < query.request.size or query.wanted + query.request.size > MAX_SHOWN:
            return None
        after = before.after(hit.document.item_id for hit in selection.shown)
        return encode(after, asked, self.reader.uuid(index, deadline))

    def _changed(self, index: str, before: Cursor, deadline: RequestDeadline) -> bool | None:
        state = self.reader.state(index, deadline)  # after the search, so never older than its answer
        return before.state != digest(state) if state else None

    def _asked_about(
        self, index: str, request: SimilarRequest, deadline: RequestDeadline
    ) -> dict[str, ListingDocument | None]:
        names = tuple(dict.fromkeys(request.explain_missing))
        with deadline.stage("explanation"):
            return self.reader.find_all(index, names, deadline) if names else {}

    def _by_similarity(self, index: str, attempt: Attempt, deadline: RequestDeadline) -> tuple[str, ...]:
        """Find the ids of the nearest candidates before the re-rank, the item itself left out."""
        query = attempt.query
        vector = query_vector(query.item)
        if vector is None or not query.request.explain:
            return ()
        body = nearest_body(query, vector, attempt.band)
        with deadline.stage("explanation"):
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

        The first nearly always does. Where it does not, the widest band is searched: if all its candidates
        are found, they are those of every narrower band, too; if not, each band is searched.
        """
        item_id, size = query.item.item_id, query.wanted
        first = attempt_at(query, 0, bands[0], counts)
        with deadline.stage("search"):
            answer = self.reader.search(index, first.body(), deadline, copy=item_id)
        selection = selected(query, policy, answer)
        if len(selection.shown) >= size:
            return first, selection
        again = not found_whole(first, answer)
        crowded = above_floor(answer, selection) >= first.most_hits
        depth = DEEPER if crowded else WIDER
        floor = selection.window.floor
        others = list(further_attempts(first, bands, counts, floor=floor, again=again, depth=depth))
        if not others:
            return first, filled_up(selection, size)
        with deadline.stage("wider"):
            answers = self._answers(index, others, deadline)
        below = {name: rule for name, rule in selection.removed.items() if rule is Rule.MIN_SIMILARITY}
        wider = (selected(query, policy, each) for each in answers)
        selections = [selection, *(replace(each, removed={**below, **each.removed}) for each in wider)]
        chosen = best_attempt(selections, size)
        return [first, *others][chosen], filled_up(selections[chosen], size)

    def _answers(
        self, index: str, attempts: Sequence[Attempt], deadline: RequestDeadline
    ) -> Sequence[Answer]:
        """Search for the answer of each attempt: once for all, if that finds every candidate."""
        *narrower, widest = attempts
        item_id = widest.query.item.item_id
        answer = self.reader.search(index, widest.body(), deadline, copy=item_id)
        if found_whole(widest, answer):
            return [*(within(answer, each.band) for each in narrower), answer]
        bodies = [each.body() for each in narrower]
        return [*(self.reader.search_all(index, bodies, deadline, copy=item_id) if bodies else ()), answer]


def depth_for(policy: ResultPolicy) -> float:
    """Return the candidates for each item of the answer in a first search.

    Of 300 answers of 24 from real photos, 96 % were full from twice as many candidates. Without rules a few
    are needed, too: quantised vectors change the order.
    """
    return 1.5 if policy.keeps_all else 2.0


def attempt_at(query: SimilarQuery, step: int, band: PriceBand, counts: PathCounts) -> Attempt:
    """Return the attempt of one band, with the levels to search in it."""
    levels = levels_of(query.item, band, counts, query.emphasis)
    return Attempt(step, band, replace(query, levels=levels))


def found_whole(attempt: Attempt, answer: Answer) -> bool:
    """Whether an attempt found every candidate: it has a place left in its window, and fewer than its `k`."""
    return len(answer.hits) < attempt.most_hits


def above_floor(answer: Answer, selection: Selection) -> int:
    """The number of hits that are not below the floor."""
    return len(answer.hits) - selection.counts()[Rule.MIN_SIMILARITY]


def within(answer: Answer, band: PriceBand) -> Answer:
    """The part of an answer that is in a band."""
    return replace(answer, hits=tuple(hit for hit in answer.hits if hit.document.price in band))


def further_attempts(
    first: Attempt,
    bands: Sequence[PriceBand],
    counts: PathCounts,
    *,
    floor: float,
    again: bool,
    depth: float,
) -> Iterator[Attempt]:
    """Return the attempts after the first: its own band `again`, then the wider ones.

    What is below the floor is left out inside the search: to fetch it took most of a second search's time,
    and those of the item's own category take the places of what is above it.
    A thin band is widened before a rule yields: the seller cap does at the end, the others never.
    """
    query = replace(first.query, floor=floor, depth=depth)
    for step, band in enumerate(bands):
        if step or again:
            yield attempt_at(query, step, band, counts)


def best_attempt(selections: Sequence[Selection], size: int) -> int:
    """The first attempt that fills the answer under the seller cap, or else without it."""
    counts = [len(each.shown) for each in selections]
    if max(counts) < size:
        counts = [len(filled_up(each, size).shown) for each in selections]
    return narrowest_sufficient(counts, size)


def selected(query: SimilarQuery, policy: ResultPolicy, answer: Answer) -> Selection:
    """The answer's candidates, without the item itself, ranked and under the rules."""
    item = query.item
    hits = [hit for hit in answer.hits if hit.document.item_id != item.item_id]
    candidates = ranked(query.calibration, item, hits, with_vector=query_vector(item) is not None)
    asked = policy.min_similarity
    floor = query.calibration.min_similarity if asked is None else asked
    return select(candidates, item, policy, query.wanted, floor, query.calibration.duplicates)


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
