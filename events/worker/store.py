"""Messages to documents in daily indices: each event once, however often and in whatever order it comes."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from elasticsearch import Elasticsearch

from events.indices import ensure_event_indices
from events.names import event_index
from events.schema import Event, parse_message
from events.worker.documents import LISTING_FIELDS, Listings, item_ids, to_document
from events.worker.rejected import RejectedEvent, RejectedEvents
from events.worker.search_errors import EventsUnavailable, elasticsearch_errors
from mappings.client import CONFLICT, UNFIT
from mappings.errors import InvalidEvent
from mappings.names import read_alias, written_through

REFUSED: Final = "document_refused"
"""The reason code of an event that Elasticsearch will not take, today or tomorrow."""

READ_AT_ONCE: Final = 1000
LONGEST_WAIT_S: Final = 10.0


@dataclass(frozen=True)
class Account:
    """What became of the messages; the numbers add up to how many there were."""

    stored: int = 0
    repeated: int = 0
    """Stored by an earlier delivery."""
    rejected: Mapping[str, int] = field(default_factory=dict)
    """By reason code."""

    def __add__(self, other: Account) -> Account:
        """The account of both."""
        return Account(
            self.stored + other.stored,
            self.repeated + other.repeated,
            Counter(self.rejected) + Counter(other.rejected),
        )

    def __str__(self) -> str:
        reasons = "".join(f", {count:,} {reason}" for reason, count in sorted(self.rejected.items()))
        total = sum(self.rejected.values())
        return f"{self.stored:,} stored, {self.repeated:,} repeated, {total:,} rejected{reasons}"


@dataclass(frozen=True)
class EventStore:
    """The events of a deployment, as its worker writes them."""

    es: Elasticsearch
    prefix: str

    @property
    def rejected(self) -> RejectedEvents:
        """Where those go that cannot be stored."""
        return RejectedEvents(self.es, self.prefix)

    def store(self, messages: Sequence[Any]) -> Account:
        """Stores each event that is not stored yet, and records as rejected what never can be.

        Raises:
            EventsUnavailable: Elasticsearch does not take all of them now. Any part may be stored; to give
                it the same messages again is harmless.
        """
        events, rejected = _parsed(messages)
        with elasticsearch_errors():
            results = self._write(events)
        refused = [result for result in results if result["status"] in UNFIT]
        rejected += [
            RejectedEvent.of(event.to_message(), REFUSED, _cause(result))
            for event, result in zip(events, results, strict=True)
            if result["status"] in UNFIT
        ]
        self.rejected.keep(rejected)
        waiting = [result for result in results if result["status"] >= 300 and not _is_settled(result)]
        if waiting:
            raise EventsUnavailable(f"{len(waiting):,} events wait: {_cause(waiting[0])}")
        repeated = sum(result["status"] == CONFLICT for result in results)
        return Account(
            stored=len(results) - repeated - len(refused),
            repeated=repeated,
            rejected=Counter(entry.reason for entry in rejected),
        )

    def reject(self, messages: Sequence[Any], reason: str, detail: str) -> Account:
        """Records all messages as rejected.

        Raises:
            EventsUnavailable: not now.
        """
        self.rejected.keep(RejectedEvent.of(message, reason, detail) for message in messages)
        return Account(rejected={reason: len(messages)})

    def _write(self, events: Sequence[Event]) -> list[dict[str, Any]]:
        """What Elasticsearch says to each event, in order."""
        if not events:
            return []
        listings = self._listings(set().union(*map(item_ids, events)))
        ensure_event_indices(self.es, self.prefix, {event.day for event in events})
        operations: list[dict[str, Any]] = []
        for event in events:
            index = written_through(event_index(self.prefix, event.day))
            operations += [
                {"create": {"_index": index, "_id": event.event_id}},
                to_document(event, listings),
            ]
        answer = self.es.bulk(operations=operations, require_alias=True)
        return [item["create"] for item in answer["items"]]

    def _listings(self, wanted: Iterable[str]) -> Listings:
        """What the live index says of the items; those that are not indexed are absent.

        Raises:
            EventsUnavailable: it cannot say now.
        """
        ordered, found = sorted(wanted), {}
        for start in range(0, len(ordered), READ_AT_ONCE):
            answer = self.es.mget(
                index=read_alias(self.prefix),
                ids=ordered[start : start + READ_AT_ONCE],
                source_includes=list(LISTING_FIELDS),
            )
            for document in answer["docs"]:
                problem = document.get("error", {}).get("type", "index_not_found_exception")
                if problem != "index_not_found_exception":  # without a live index nothing is known of an item
                    raise EventsUnavailable(f"listings cannot be read: {document['error']}")
                if document.get("found"):
                    found[document["_id"]] = document["_source"]
        return found


def store_patiently(
    store: Callable[[], Account], patience_s: float, sleep: Callable[[float], object] = time.sleep
) -> Account:
    """What `store` returns, tried again while Elasticsearch is away, with full jitter below a bound that
    doubles from a second to ten.

    Raises:
        EventsUnavailable: it stayed away for that many seconds.
    """
    end, bound = time.monotonic() + patience_s, 1.0
    while True:
        try:
            return store()
        except EventsUnavailable:
            wait = random.uniform(0, bound)  # noqa: S311 - no secret
            if time.monotonic() + wait > end:
                raise
        sleep(wait)
        bound = min(LONGEST_WAIT_S, bound * 2)


def _parsed(messages: Sequence[Any]) -> tuple[list[Event], list[RejectedEvent]]:
    events, rejected = [], []
    for message in messages:
        try:
            events.append(parse_message(message))
        except InvalidEvent as error:
            rejected.append(RejectedEvent.of(message, error.reason, _problems(error)))
    return events, rejected


def _problems(error: InvalidEvent) -> str:
    """Each problem without what was found: it may be a raw user id, which is not stored anywhere."""
    return "; ".join(f"{problem.field}: expected {problem.expected}" for problem in error.problems)


def _is_settled(result: Mapping[str, Any]) -> bool:
    return result["status"] == CONFLICT or result["status"] in UNFIT


def _cause(result: Mapping[str, Any]) -> str:
    error = result.get("error", {})
    cause = error.get("caused_by", {}).get("reason")
    return f"{error.get('type')}: {error.get('reason')}" + (f" ({cause})" if cause else "")
