"""Parked events: they wait in Redis because neither a document nor a dead letter could be written."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import redis

from mappings.listing import isoformat
from queues.names import parked_key
from queues.rejected_index import digest


@dataclass(frozen=True)
class GivenUp:
    """An event to park, with the reason."""

    event: Any
    reason: str
    detail: str


@dataclass(frozen=True)
class ParkedEvent:
    """An event that waits for an operator to replay it."""

    id: str
    event: Any
    reason: str
    detail: str
    parked_at: str


@dataclass(frozen=True)
class ParkingLot:
    """A Redis hash. An event that is parked again has another id, so releasing the events that were replayed
    never removes one that failed again.

    It is in the Redis of the queue, and as durable.
    """

    client: redis.Redis
    prefix: str

    @property
    def key(self) -> str:
        """The Redis key of the hash."""
        return parked_key(self.prefix)

    def park(self, given_up: Sequence[GivenUp]) -> None:
        """Store the events, all or none."""
        now = isoformat(datetime.now(UTC))
        entries: dict[Any, Any] = {
            f"{_id_of(entry.event)}@{now}": json.dumps(asdict(entry) | {"parked_at": now})
            for entry in given_up
        }
        if entries:
            self.client.hset(self.key, mapping=entries)

    def search(self, reason: str | None = None) -> Iterator[ParkedEvent]:
        """Yield the parked events in no order; only those of a reason, if given."""
        for key, value in self.client.hscan_iter(self.key, count=500):
            parked = ParkedEvent(id=key.decode(), **json.loads(value))
            if reason in {None, parked.reason}:
                yield parked

    def release(self, ids: Sequence[str]) -> None:
        """Delete the events of these ids."""
        if ids:
            self.client.hdel(self.key, *ids)


def _id_of(event: Any) -> str:
    return digest(json.dumps(event, sort_keys=True))
