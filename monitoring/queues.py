"""The state of the queues in Redis."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import redis

from queues.lanes import BACKFILL, LIVE, list_of, unacked_key
from queues.names import refused_key
from queues.origin import ENQUEUED_AT, Origin
from telemetry.ids import TRACEPARENT


@dataclass(frozen=True)
class QueueState:
    """How much waits in a queue, and for how long."""

    name: str
    waiting: int
    """Messages that no worker has taken."""
    held: int
    """Messages that workers hold, those that wait for a retry included."""
    refused: int
    """Messages that no worker can process."""
    oldest_s: float | None
    """The age of the message that waits longest, since it was first queued; None if none waits or says so."""
    is_backfill: bool = False
    """Whether it waits for all live messages, for as long as that takes."""


def read_queues(client: redis.Redis, names: Sequence[str]) -> list[QueueState]:
    """Return the state of each queue. What is held or refused belongs to the live list.

    Raises:
        RedisError: Redis does not answer.
    """
    return [state for name in names for state in _lists_of(client, name)]


def lane_name(queue: str, priority: int) -> str:
    """Return the name of a list of a queue for people: that of its backfill ends with `-backfill`."""
    return f"{queue}-backfill" if priority == BACKFILL else queue


def _lists_of(client: redis.Redis, queue: str) -> Iterator[QueueState]:
    with client.pipeline(transaction=False) as pipe:
        for priority in (LIVE, BACKFILL):
            pipe.llen(list_of(queue, priority))
            pipe.lindex(list_of(queue, priority), -1)
        pipe.hlen(unacked_key(queue))
        pipe.hlen(refused_key(queue))
        waiting, oldest, later, oldest_later, held, refused = pipe.execute()
    yield QueueState(lane_name(queue, LIVE), waiting, held, refused, _age_s(oldest))
    yield QueueState(lane_name(queue, BACKFILL), later, 0, 0, _age_s(oldest_later), is_backfill=True)


def _age_s(message: bytes | None) -> float | None:
    if message is None:
        return None
    try:
        headers: Any = orjson.loads(message)["headers"]
        return Origin.of(headers.get(TRACEPARENT), headers.get(ENQUEUED_AT)).age_s(time.time())
    except (ValueError, TypeError, KeyError, AttributeError):  # the worker will refuse it
        return None
