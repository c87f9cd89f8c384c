"""Where an item is on its way into the index: queued, indexed, rejected, or unknown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import redis
from elasticsearch import Elasticsearch

from mappings.failures import INDEX_MISSING, UNAVAILABLE, ElasticsearchUnavailable, elasticsearch_errors
from mappings.listing import Status, UnusedPhoto, status_version
from mappings.names import dead_letter_id, dead_letter_index, read_alias
from queues.listings.names import listing_queue
from queues.listings.waiting import WaitingEvents

DOCUMENT_FIELDS: Final = ("status", "updated_at", "indexed_at", "encoder_id", "photo_problem")
LETTER_FIELDS: Final = ("reason", "detail", "failed_at")


class IndexingState(StrEnum):
    """The state of an item."""

    QUEUED = "queued"
    INDEXED = "indexed"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class IndexedAs:
    """The stored document of an item."""

    index: str
    status: str
    updated_at: str
    indexed_at: str
    encoder_id: str
    photo_problem: str | None
    unused_photos: tuple[UnusedPhoto, ...] = ()
    """Those that could not be used, of an item that has a vector by its others."""

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> IndexedAs:
        """Return the document in an answer."""
        unused = UnusedPhoto.all_in(found["_source"])
        return cls(found["_index"], **_of(found, DOCUMENT_FIELDS), unused_photos=unused)


@dataclass(frozen=True)
class RejectedAs:
    """Why the newest event of an item was rejected, or its photo not used."""

    reason: str
    detail: str
    failed_at: str
    version: int | None = None
    """That of the event, where its item, status and time are valid: the order of the item's events."""


@dataclass(frozen=True)
class IndexingStatus:
    """The state of an item, its document, and what is wrong with its newest event; each may be missing."""

    item_id: str
    state: IndexingState
    document: IndexedAs | None = None
    problem: RejectedAs | None = None


@dataclass(frozen=True)
class IndexingStatuses:
    """Reads the status of items from the queue and the index of a deployment."""

    es: Elasticsearch
    client: redis.Redis
    prefix: str

    def of(self, item_id: str) -> IndexingStatus:
        """Return the status of an item.

        The queue is read first: an event that leaves it meanwhile is in the index then.

        Raises:
            RedisError: Redis does not answer.
            ElasticsearchUnavailable: Elasticsearch does not answer.
        """
        waiting = WaitingEvents(self.client, listing_queue(self.prefix))
        is_queued = waiting.is_queued(item_id)
        parked = None if is_queued else waiting.parked(self.prefix, item_id)
        document, letter = self._stored(item_id)
        if parked:
            letter = RejectedAs(parked.reason, parked.detail, parked.parked_at)
        if document and letter and not _counts(letter, document):
            letter = None
        return IndexingStatus(item_id, state_of(document, letter, is_queued=is_queued), document, letter)

    def _stored(self, item_id: str) -> tuple[IndexedAs | None, RejectedAs | None]:
        letters = dead_letter_index(self.prefix)
        fields = [*DOCUMENT_FIELDS, "unused_photos", "version"]
        wanted = [
            {"_index": read_alias(self.prefix), "_id": item_id, "_source": fields},
            {"_index": letters, "_id": dead_letter_id(item_id), "_source": list(LETTER_FIELDS)},
        ]
        with elasticsearch_errors():
            document, letter = map(_found, self.es.mget(docs=wanted)["docs"])
            if document and document["_source"].get("version") == 0:
                document = None  # it only keeps changes of an item that has no complete event yet
            if letter is None:
                letter = self._letter_of_invalid(letters, item_id, document)
        version = letter["_version"] if letter and letter["_id"] == dead_letter_id(item_id) else None
        return (
            IndexedAs.of(document) if document else None,
            RejectedAs(**_of(letter, LETTER_FIELDS), version=version) if letter else None,
        )

    def _letter_of_invalid(
        self, index: str, item_id: str, document: Mapping[str, Any] | None
    ) -> Mapping[str, Any] | None:
        """Return the letter of an event without a valid status or time, if it came after the document's.

        A later event does not delete it, as it does the item's own letter.
        """
        hits = self.es.search(
            index=index,
            query={"term": {"item_id": item_id}},
            sort=[{"failed_at": "desc"}],
            size=1,
            source_includes=list(LETTER_FIELDS),
            ignore_unavailable=True,
        )["hits"]["hits"]
        is_older = document and hits and hits[0]["_source"]["failed_at"] < document["_source"]["indexed_at"]
        return hits[0] if hits and not is_older else None


def state_of(document: IndexedAs | None, letter: RejectedAs | None, *, is_queued: bool) -> IndexingState:
    """Return the state of an item, which is that of its newest event.

    A photo that cannot be used is noted in the document, too.
    """
    if is_queued:
        return IndexingState.QUEUED
    if letter and (document is None or letter.reason != document.photo_problem):
        return IndexingState.REJECTED
    return IndexingState.INDEXED if document else IndexingState.UNKNOWN


def _counts(letter: RejectedAs, document: IndexedAs) -> bool:
    """Return whether a letter says something of the item as it is: what is older has been replaced since."""
    if letter.version is None or letter.reason == document.photo_problem:
        return True
    return letter.version >= status_version(datetime.fromisoformat(document.updated_at), Status.ON_SALE)


def _found(doc: Mapping[str, Any]) -> Mapping[str, Any] | None:
    if doc.get("error", {}).get("type", INDEX_MISSING) != INDEX_MISSING:
        raise ElasticsearchUnavailable(UNAVAILABLE, str(doc["error"])[:500])
    return doc if doc.get("found") else None


def _of(found: Mapping[str, Any], fields: Iterable[str]) -> dict[str, Any]:
    return {name: found["_source"].get(name) for name in fields}
