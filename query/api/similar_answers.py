"""Answers to requests for similar items: from the cache where it has them, or else by a search."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property

import orjson

from cache.answers import AnswerCache, CacheCounts, LookUp, digest_of
from query.api.metrics import count_answer, count_look_up
from query.api.responses import Delivery, SimilarAnswer, delivery, similar_content
from query.search.cursor import LIFETIME_S
from query.search.errors import NoLiveIndex, SearchUnavailable
from query.search.experiment_aware import (
    ExperimentAwareSearch,
    Exposure,
    ServingConfig,
    exposed,
    random_place,
)
from query.search.reader import RequestDeadline
from query.search.recent import Recent
from query.search.request import SimilarRequest, VisitorRequest
from query.search.similar import SimilarItems


@dataclass(frozen=True)
class DeliveredAnswer:
    """An answer as JSON, in its two parts."""

    content: bytes
    delivery: Delivery

    @cached_property
    def body(self) -> bytes:
        """The JSON of a SimilarAnswer."""
        return b"%b,%b" % (self.content[:-1], self.delivery.model_dump_json().encode()[1:])

    @property
    def lasting_content(self) -> bytes:
        """The content with the half hour in place of its last field, `next_cursor`.

        The cursor is another one each second; a copy that is never fetched anew would keep an expired one.
        """
        half_hour = int(time.time() // (LIFETIME_S / 2))
        return b"%b%d" % (self.content.rpartition(b',"next_cursor":')[0], half_hour)

    @property
    def is_attributed(self) -> bool:
        """Whether it is part of an experiment, so that no copy of it may be shown."""
        delivery = self.delivery
        return bool(delivery.arms or delivery.arms_reason or delivery.randomised)


class SimilarAnswers:
    """Answers to requests for similar items."""

    def __init__(self, slates: ExperimentAwareSearch, cache: AnswerCache, configuration: str) -> None:
        """Nothing is asked yet.

        configuration: everything besides the request that this process's answers follow from. Processes that
            differ in it share no answers.
        """
        self._slates, self._cache = slates, cache
        self._configuration = f"{configuration} {SimilarAnswer.model_json_schema()}"
        self._indices: Recent[str, str] = Recent()

    @property
    def cache_counts(self) -> CacheCounts:
        """The state of the cache and the look-ups so far."""
        return self._cache.counts

    def answer(self, item_id: str, request: VisitorRequest) -> DeliveredAnswer:
        """Answer a request.

        Raises:
            InvalidParameters: the request names an arm that does not exist, or a filter value of no listing.
            UnknownItem: no such item.
            NoLiveIndex, SearchUnavailable
        """
        deadline = self._slates.deadline()
        config = self._slates.config(request, deadline)
        known = self._look_up(config, item_id, request.similar, deadline)
        count_look_up(known)
        if known.content is not None:
            return delivered(known.content, exposed(config), deadline, cached=True)
        items, config = self._slates.items(config, item_id, request.similar, deadline)
        count_answer(items, request.similar.size)
        content = similar_content(items).model_dump_json().encode()
        if known.started_ms is not None:
            self._store(config, item_id, request.similar, items, content, known.started_ms)
        return delivered(content, exposed(config), deadline, cached=False)

    def _look_up(
        self, config: ServingConfig, item_id: str, request: SimilarRequest, deadline: RequestDeadline
    ) -> LookUp:
        if not self._cache.is_on or not is_cacheable(request):
            return LookUp()
        reader = self._slates.reader(config)
        try:
            index = self._indices.of(reader.prefix, lambda: reader.live(deadline)[0])
        except (NoLiveIndex, SearchUnavailable):  # the search says so, or falls back to the default index
            return LookUp()
        return self._cache.look_up(reader.prefix, self._digest(index, config, item_id, request))

    def _store(
        self,
        config: ServingConfig,
        item_id: str,
        request: SimilarRequest,
        items: SimilarItems,
        content: bytes,
        started_ms: int,
    ) -> None:
        digest = self._digest(items.found.index, config, item_id, request)
        shown = (hit.document.item_id for hit in items.hits)
        prefix = self._slates.reader(config).prefix
        self._cache.store(prefix, digest, started_ms, (item_id, *shown), content)

    def _digest(self, index: str, config: ServingConfig, item_id: str, request: SimilarRequest) -> str:
        # The order of a shuffled slate is its own, and made after the cache.
        arms = [arm.model_dump(mode="json", exclude={"shuffle"}) for arm in config.arms]
        return digest_of(orjson.dumps([self._configuration, index, arms, item_id, request]))


def is_cacheable(request: SimilarRequest) -> bool:
    """Whether answers to a request are kept.

    Explanations are for those who look for a cause, and a later page says whether the index has changed.
    """
    return not (request.explain or request.explain_missing or request.cursor)


def delivered(
    content: bytes, exposure: Exposure, deadline: RequestDeadline, *, cached: bool
) -> DeliveredAnswer:
    """An answer for one visitor, in the order that the visitor is shown."""
    if exposure.randomised:
        content = in_shown_order(content, exposure)
    return DeliveredAnswer(content, delivery(deadline, exposure, cached=cached))


def in_shown_order(content: bytes, exposure: Exposure) -> bytes:
    """The content with its items in the random order of a slate."""
    parts = orjson.loads(content)
    parts["items"].sort(key=lambda item: random_place(exposure, item["item_id"]))
    return orjson.dumps(parts)
