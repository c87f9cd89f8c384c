"""Rejected events, stored with the reason until an operator replays or drops them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from elasticsearch import Elasticsearch

from events.indices import REJECTED_BODY
from events.names import rejected_events_index
from events.schema import event_id_of
from events.user_ids import USER_HASH
from mappings.failures import UNAVAILABLE, ElasticsearchUnavailable
from mappings.listing import isoformat
from mappings.names import written_through
from mappings.problems import shortened
from queues.rejected_index import RejectedIndex, digest


@dataclass(frozen=True)
class RejectedEvent:
    """A message that is no event, or an event that could not be stored."""

    message: Any
    """Decoded JSON, without a raw user id."""
    reason: str
    detail: str
    failed_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @classmethod
    def of(cls, message: Any, reason: str, detail: str) -> RejectedEvent:
        """Return the rejected message, without a `user_id` that is no hash: a raw one must not be stored."""
        if isinstance(message, Mapping):
            message = {name: value for name, value in message.items() if not _is_raw_id(name, value)}
        return cls(message, reason, detail)

    @property
    def id(self) -> str:
        """The same for the same message, so that one rejected twice is stored once."""
        return digest(self._text)

    def to_source(self) -> dict[str, Any]:
        """Return it as Elasticsearch stores it; the message as text, since it can have any shape."""
        fields = {
            "event_id": event_id_of(self.message),
            "user_id": self._user_id,
            "reason": self.reason,
            "detail": shortened(self.detail),
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
    # `user` as well: senders of 0.1.0 still use that name.
    return name in {"user", "user_id"} and not (isinstance(value, str) and USER_HASH.fullmatch(value))


@dataclass(frozen=True)
class RejectedEvents:
    """The rejected events of a deployment."""

    es: Elasticsearch
    prefix: str

    @property
    def index(self) -> RejectedIndex:
        """The index that they are stored in."""
        return RejectedIndex(self.es, rejected_events_index(self.prefix), REJECTED_BODY)

    def write(self, rejected: Iterable[RejectedEvent]) -> None:
        """Store them; one that was rejected before is stored once.

        Raises:
            ElasticsearchUnavailable: it does not accept all of them now.
        """
        index = self.index
        operations: list[dict[str, Any]] = []
        for entry in rejected:
            operations += [
                {"index": {"_index": written_through(index.name), "_id": entry.id}},
                entry.to_source(),
            ]
        failed = [failure for failure in index.bulk(operations, require_alias=True) if failure]
        if failed:
            detail = f"{len(failed):,} rejected events could not be stored: {failed[0]}"
            raise ElasticsearchUnavailable(UNAVAILABLE, detail) from failed[0]
