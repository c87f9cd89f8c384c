"""Events that wait in Redis because they could not be indexed and no dead letter could be written."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import redis

from mappings.listing import isoformat
from queues.rejected_index import digest


@dataclass(frozen=True)
class GivenUp:
    """An event that is to be parked, and why."""

    event: Any
    reason: str
    detail: str


@dataclass(frozen=True)
class ParkedEvent:
    """An event that waits for somebody to replay it."""

    id: str
    event: Any
    reason: str
    detail: str
    parked_at: str


@dataclass(frozen=True)
class ParkingLot:
    """A Redis hash. The name of an entry changes when its event is parked again, so that releasing what was
    sent never removes what has come back meanwhile.

    It lies beside the queue: where the queue survives, it survives.
    """

    client: redis.Redis
    prefix: str

    @property
    def key(self) -> str:
        """The Redis key of the hash."""
        return f"nitamono:{self.prefix}:parked"

    def park(self, given_up: Sequence[GivenUp]) -> None:
        """Keeps the events, all or none."""
        now = isoformat(datetime.now(UTC))
        entries: dict[Any, Any] = {
            f"{_id_of(entry.event)}@{now}": json.dumps(asdict(entry) | {"parked_at": now})
            for entry in given_up
        }
        if entries:
            self.client.hset(self.key, mapping=entries)

    def search(self, reason: str | None = None) -> Iterator[ParkedEvent]:
        """The parked events, in no order; of one reason only where it is given."""
        for key, value in self.client.hscan_iter(self.key, count=500):
            parked = ParkedEvent(id=key.decode(), **json.loads(value))
            if reason in {None, parked.reason}:
                yield parked

    def release(self, ids: Sequence[str]) -> None:
        """Forgets the events of these ids."""
        if ids:
            self.client.hdel(self.key, *ids)


def _id_of(event: Any) -> str:
    return digest(json.dumps(event, sort_keys=True))
