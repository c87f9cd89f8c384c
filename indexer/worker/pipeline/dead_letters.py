"""Dead letters: events that were rejected or have no vector, in an index of their own with the reason."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

from elasticsearch import Elasticsearch

from mappings.creation import DEAD_LETTERS_BODY
from mappings.failures import (
    INDEX_MISSING,
    UNAVAILABLE,
    DocumentRejected,
    ElasticsearchUnavailable,
    elasticsearch_errors,
)
from mappings.listing import isoformat, item_id_of
from mappings.names import dead_letter_id, dead_letter_index, item_of_dead_letter, written_through
from mappings.problems import printable, shortened
from queues.rejected_index import RejectedIndex, digest

# A line without an event can be anything, even a whole file without line breaks.
RAW_LIMIT = 10_000


@dataclass(frozen=True)
class DeadLetter:
    """A rejected event. Only the newest one of each item is kept.

    `version` is that of the event, if its item, status and time are valid, or the one that the letter was
    read with. `raw` is set if the event is not a JSON object.
    """

    id: str
    reason: str
    detail: str
    item_id: str | None
    event: Mapping[str, Any] | None
    raw: str | None
    version: int | None = None
    attempts: int = 1
    failed_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @classmethod
    def of(
        cls, event: object, reason: str, detail: str, *, version: int | None = None, attempts: int = 1
    ) -> DeadLetter:
        """Return the letter of an event. The same event always gets the same id."""
        item_id = item_id_of(event) if isinstance(event, Mapping) else None
        text = event if isinstance(event, str) else _to_json(event)
        storable = isinstance(event, Mapping) and is_storable(event)
        return cls(
            id=dead_letter_id(str(item_id)) if version else f"event:{digest(text)}",
            reason=reason,
            detail=shortened(detail),
            item_id=printable(item_id) if item_id is not None else None,
            event=dict(event) if isinstance(event, Mapping) and storable else None,
            raw=None if storable else printable(text[:RAW_LIMIT]),
            version=version,
            attempts=attempts,
        )

    def to_source(self, encoder_id: str | None) -> dict[str, Any]:
        """Return the letter as Elasticsearch stores it."""
        fields = {
            "item_id": self.item_id,
            "reason": self.reason,
            "detail": self.detail,
            "event": self.event,
            "raw": self.raw,
            "encoder_id": encoder_id,
            "attempts": self.attempts,
            "failed_at": isoformat(self.failed_at),
        }
        return {name: value for name, value in fields.items() if value is not None}

    @classmethod
    def from_hit(cls, hit: Mapping[str, Any]) -> DeadLetter:
        """Return the letter in a search hit."""
        source = hit["_source"]
        return cls(
            id=hit["_id"],
            reason=source["reason"],
            detail=source["detail"],
            item_id=source.get("item_id"),
            event=source.get("event"),
            raw=source.get("raw"),
            version=hit["_version"],
            attempts=source["attempts"],
            failed_at=datetime.fromisoformat(source["failed_at"]),
        )

    def as_raw(self) -> DeadLetter:
        """Return the letter with its event as text, for an event that Elasticsearch cannot store as JSON."""
        return replace(self, event=None, raw=json.dumps(self.event)[:RAW_LIMIT])


class StoredLetter(NamedTuple):
    """The version and the reason of an item's letter."""

    version: int
    reason: str


def is_storable(event: Mapping[Any, Any]) -> bool:
    """Return whether the event can be sent to Elasticsearch as JSON: without NaN or half a surrogate pair."""
    try:
        json.dumps(event, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, TypeError, RecursionError):
        return False
    return True


def _to_json(event: object) -> str:
    """Return the event as JSON, or only its first level if the whole cannot be written."""
    try:
        return json.dumps(event, sort_keys=True, default=repr)
    except (ValueError, TypeError, RecursionError):
        fields = event if isinstance(event, Mapping) else {}
        return json.dumps({str(name): _outline(value) for name, value in fields.items()}, sort_keys=True)


def _outline(value: object) -> object:
    return value if isinstance(value, str | float | bool | None) else f"({type(value).__name__})"


@dataclass(frozen=True)
class DeadLetters:
    """The dead letters of a deployment."""

    es: Elasticsearch
    prefix: str
    encoder_id: str | None = None

    @property
    def index(self) -> str:
        """The name of their index."""
        return dead_letter_index(self.prefix)

    @property
    def _stored(self) -> RejectedIndex:
        return RejectedIndex(self.es, self.index, DEAD_LETTERS_BODY)

    def reasons(self) -> Iterator[str]:
        """Yield the reasons of all letters."""
        return self._stored.reasons()

    def write(self, letters: Iterable[DeadLetter]) -> None:
        """Write the letters. A letter of an older event never replaces that of a newer one.

        Raises:
            ElasticsearchUnavailable: it accepts none now; some of them may have been written.
        """
        rejected = self._write(list(letters))
        self._write([letter.as_raw() for letter in rejected if letter.event is not None])

    def _write(self, letters: Sequence[DeadLetter]) -> list[DeadLetter]:
        """Write the letters and return those whose documents Elasticsearch rejects."""
        operations: list[dict[str, Any]] = []
        for letter in letters:
            order = {"version": letter.version, "version_type": "external_gte"} if letter.version else {}
            operations += [
                {"index": {"_index": written_through(self.index), "_id": letter.id} | order},
                letter.to_source(self.encoder_id),
            ]
        failures = self._stored.bulk(operations, require_alias=True)
        return [
            letter
            for letter, failure in zip(letters, failures, strict=True)
            if isinstance(failure, DocumentRejected)
        ]

    def delete_up_to(self, items: Sequence[tuple[str, int]]) -> None:
        """Delete the items' letters of this version or an older one. Missing and newer letters are no error.

        Raises:
            ElasticsearchUnavailable: it does not accept all deletions now.
        """
        deletions = [_deletion(self.index, dead_letter_id(item_id), version) for item_id, version in items]
        self._stored.bulk(deletions)

    def read(self, item_ids: Sequence[str]) -> dict[str, StoredLetter]:
        """Return the letters of the items that have one.

        Raises:
            ElasticsearchUnavailable: it does not answer.
        """
        if not item_ids:
            return {}
        with elasticsearch_errors():
            answer = self.es.mget(
                index=self.index, ids=list(map(dead_letter_id, item_ids)), source_includes=["reason"]
            )
        for doc in answer["docs"]:
            if doc.get("error", {}).get("type", INDEX_MISSING) != INDEX_MISSING:
                raise ElasticsearchUnavailable(UNAVAILABLE, str(doc["error"])[:500])
        return {
            item_of_dead_letter(doc["_id"]): StoredLetter(doc["_version"], doc["_source"]["reason"])
            for doc in answer["docs"]
            if doc.get("found")
        }

    def search(self, reason: str | None = None) -> Iterator[DeadLetter]:
        """Yield the letters, oldest first, page by page; only those of a reason, if given.

        Raises:
            ElasticsearchUnavailable: it does not answer.
        """
        with elasticsearch_errors():
            yield from map(DeadLetter.from_hit, self._stored.search(reason))

    def delete(self, letters: Sequence[DeadLetter]) -> None:
        """Delete the letters, unless a newer one has replaced them since they were read.

        Raises:
            ElasticsearchUnavailable: it does not answer.
        """
        deletions = [_deletion(self.index, letter.id, letter.version) for letter in letters]
        self._stored.bulk(deletions, refresh=True)


def _deletion(index: str, id_: str, version: int | None) -> dict[str, Any]:
    """Return the bulk operation that deletes a letter of this version or an older one.

    A deletion without a version counts as version + 1: for a minute (`index.gc_deletes`) it would reject the
    letter of the same event if that fails again.
    """
    order = {"version": version, "version_type": "external_gte"}
    return {"delete": {"_index": written_through(index), "_id": id_} | order}
