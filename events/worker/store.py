"""Storage of messages as documents in daily indices: each event once, in whatever order they come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

from elasticsearch import Elasticsearch

from console.counts import count_of
from events.indices import ensure_event_indices
from events.names import event_index
from events.schema import Event, parse_message
from events.worker.documents import LISTING_FIELDS, Listings, item_ids, to_document
from events.worker.rejected import RejectedEvent, RejectedEvents
from mappings.errors import InvalidEvent
from mappings.failures import (
    INDEX_MISSING,
    UNAVAILABLE,
    DocumentRejected,
    ElasticsearchUnavailable,
    Failure,
    TransientFailure,
    VersionConflict,
    elasticsearch_errors,
    item_failure,
)
from mappings.names import read_alias, written_through

READ_AT_ONCE: Final = 1000


@dataclass(frozen=True)
class StoreSummary:
    """How many messages had which outcome; the numbers add up to how many there were."""

    stored: int = 0
    repeated: int = 0
    """Stored by an earlier delivery."""
    rejected: Mapping[str, int] = field(default_factory=dict)
    """By reason code."""

    def __add__(self, other: StoreSummary) -> StoreSummary:
        """The summary of both."""
        return StoreSummary(
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
    """The indices of a deployment's events."""

    es: Elasticsearch
    prefix: str
    _days: set[date] = field(default_factory=set, init=False, repr=False, compare=False)
    """Days whose index was there when it was last written to: no request asks for them again."""

    @property
    def rejected(self) -> RejectedEvents:
        """The store of rejected events."""
        return RejectedEvents(self.es, self.prefix)

    def store(self, messages: Sequence[Any]) -> StoreSummary:
        """Store each event that is not stored yet, and as rejected what never can be.

        Raises:
            ElasticsearchUnavailable: it does not accept all of them now. Any part may be stored; storing the
                same messages again is harmless.
        """
        events, rejected = _parsed(messages)
        failures = self._write(events)
        rejected += [
            RejectedEvent.of(event.to_message(), failure.reason, failure.detail)
            for event, failure in zip(events, failures, strict=True)
            if isinstance(failure, DocumentRejected)
        ]
        self.rejected.write(rejected)
        waiting = [failure for failure in failures if isinstance(failure, TransientFailure)]
        if waiting:
            detail = f"not stored: {count_of(len(waiting), 'event')}: {waiting[0].detail}"
            raise ElasticsearchUnavailable(UNAVAILABLE, detail)
        return StoreSummary(
            stored=failures.count(None),
            repeated=sum(isinstance(failure, VersionConflict) for failure in failures),
            rejected=Counter(entry.reason for entry in rejected),
        )

    def reject(self, messages: Sequence[Any], reason: str, detail: str) -> StoreSummary:
        """Store all messages as rejected.

        Raises:
            ElasticsearchUnavailable: it does not accept them now.
        """
        self.rejected.write(RejectedEvent.of(message, reason, detail) for message in messages)
        return StoreSummary(rejected={reason: len(messages)})

    def _write(self, events: Sequence[Event]) -> list[Failure | None]:
        """Return, for each event in order, why it was not stored, or None."""
        if not events:
            return []
        with elasticsearch_errors():
            listings = self._listings(set().union(*map(item_ids, events)))
            self._ensure({event.day for event in events})
            operations: list[dict[str, Any]] = []
            for event in events:
                index = written_through(event_index(self.prefix, event.day))
                operations += [
                    {"create": {"_index": index, "_id": event.event_id}},
                    to_document(event, listings),
                ]
            answer = self.es.bulk(operations=operations, require_alias=True)
        failures = [item_failure(item["create"]) for item in answer["items"]]
        if any(isinstance(failure, ElasticsearchUnavailable) for failure in failures):
            self._days.clear()  # an index may be deleted: the retry creates it again
        return failures

    def _ensure(self, days: set[date]) -> None:
        """Create the indices of the days that are not known to have a complete one.

        Raises:
            MappingMismatch: an index has a field with another type.
        """
        if unknown := days - self._days:
            ensure_event_indices(self.es, self.prefix, unknown)
            self._days.update(unknown)

    def _listings(self, wanted: Iterable[str]) -> Listings:
        """Return the indexed listings among the items.

        Raises:
            ElasticsearchUnavailable: they cannot be read now.
        """
        ordered, found = sorted(wanted), {}
        for start in range(0, len(ordered), READ_AT_ONCE):
            answer = self.es.mget(
                index=read_alias(self.prefix),
                ids=ordered[start : start + READ_AT_ONCE],
                source_includes=list(LISTING_FIELDS),
            )
            for document in answer["docs"]:
                problem = document.get("error", {}).get("type", INDEX_MISSING)
                if problem != INDEX_MISSING:  # without a live index all are unknown
                    detail = f"listings cannot be read: {document['error']}"
                    raise ElasticsearchUnavailable(UNAVAILABLE, detail)
                if document.get("found"):
                    found[document["_id"]] = document["_source"]
        return found


def _parsed(messages: Sequence[Any]) -> tuple[list[Event], list[RejectedEvent]]:
    events, rejected = [], []
    for message in messages:
        try:
            events.append(parse_message(message))
        except InvalidEvent as error:
            rejected.append(RejectedEvent.of(message, error.reason, _problems(error)))
    return events, rejected


def _problems(error: InvalidEvent) -> str:
    """Return the problems without the values found, which may be raw user ids."""
    return "; ".join(problem.without_value() for problem in error.problems)
