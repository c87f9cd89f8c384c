"""Events that could not be stored, kept with the reason until somebody replays or drops them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from elasticsearch import Elasticsearch

from events.indices import ensure_rejected_events
from events.names import rejected_events_index
from events.schema import event_id_of
from events.user_ids import USER_HASH
from events.worker.search_errors import EventsUnavailable, elasticsearch_errors
from mappings.listing import isoformat
from mappings.names import written_through
from mappings.problems import printable
from mappings.scan import Hit, pages

DETAIL_LIMIT: Final = 2_000


@dataclass(frozen=True)
class RejectedEvent:
    """A message that is no event, or an event that Elasticsearch refuses."""

    message: Any
    """Decoded JSON, never with a raw user id."""
    reason: str
    detail: str
    failed_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @classmethod
    def of(cls, message: Any, reason: str, detail: str) -> RejectedEvent:
        """The message without a `user_id` that is no hash: a raw one must not be stored."""
        if isinstance(message, Mapping):
            message = {name: value for name, value in message.items() if not _is_raw_id(name, value)}
        return cls(message, reason, detail[:DETAIL_LIMIT])

    @property
    def id(self) -> str:
        """The same for the same message, so that one rejected twice is kept once."""
        return hashlib.sha256(self._text.encode()).hexdigest()[:32]

    def to_source(self) -> dict[str, Any]:
        """As Elasticsearch stores it; the message as text, for it may be of any shape."""
        fields = {
            "event_id": event_id_of(self.message),
            "user_id": self._user_id,
            "reason": self.reason,
            "detail": printable(self.detail),
            "event": self._text,
            "failed_at": isoformat(self.failed_at),
        }
        return {name: value for name, value in fields.items() if value is not None}

    @property
    def _user_id(self) -> str | None:
        user_id = self.message.get("user_id") if isinstance(self.message, Mapping) else None
        return user_id if isinstance(user_id, str) else None

    @property
    def _text(self) -> str:
        return json.dumps(self.message, sort_keys=True)


def _is_raw_id(name: object, value: object) -> bool:
    return name == "user_id" and not (isinstance(value, str) and USER_HASH.fullmatch(value))


@dataclass(frozen=True)
class RejectedEvents:
    """The rejected events of a deployment."""

    es: Elasticsearch
    prefix: str

    def keep(self, rejected: Iterable[RejectedEvent]) -> None:
        """Writes them.

        Raises:
            EventsUnavailable: Elasticsearch takes them not now.
        """
        operations: list[dict[str, Any]] = []
        for entry in rejected:
            operations += [{"index": {"_id": entry.id}}, entry.to_source()]
        if not operations:
            return
        with elasticsearch_errors():
            index = written_through(ensure_rejected_events(self.es, self.prefix))
            answer = self.es.bulk(index=index, operations=operations, require_alias=True)
        failed = [item["index"] for item in answer["items"] if item["index"]["status"] >= 300]
        if failed:
            raise EventsUnavailable(f"{len(failed):,} rejected events wait: {failed[0].get('error')}")

    def pages(self, reason: str | None = None, before: datetime | None = None) -> Iterator[list[Hit]]:
        """Them, oldest first; of one reason only, or rejected before a moment only, where that is given."""
        index = rejected_events_index(self.prefix)
        if not self.es.indices.exists(index=index):
            return
        wanted: list[dict[str, Any]] = []
        if reason:
            wanted.append({"term": {"reason": reason}})
        if before:
            wanted.append({"range": {"failed_at": {"lt": isoformat(before)}}})
        query = {"bool": {"filter": wanted}}
        yield from pages(self.es, index, query, sort=[{"failed_at": "asc"}], missing_ok=True)
