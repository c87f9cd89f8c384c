"""The lists of a queue in Redis, one for each priority: live events come before backfill.

kombu pushes a message of a priority to a list of its own, and a worker takes from the lists in order
(https://docs.celeryq.dev/en/stable/userguide/routing.html#redis-message-priorities).
"""

from __future__ import annotations

from bisect import bisect
from typing import Final

import redis
from kombu.transport.redis import PRIORITY_STEPS, Channel

LIVE: Final = 0
"""The priority of what has just happened."""

BACKFILL: Final = 9
"""The priority of files and replays: a worker takes one only while no live message waits."""


def list_of(queue: str, priority: int = LIVE) -> str:
    """Return the key of the list of a priority, as kombu names it."""
    step = PRIORITY_STEPS[max(0, bisect(PRIORITY_STEPS, priority) - 1)]
    return f"{queue}{Channel.sep}{step}" if step else queue


def lists_of(queue: str) -> list[str]:
    """Return the keys of all lists of a queue, in the order in which workers take from them."""
    return [list_of(queue, step) for step in PRIORITY_STEPS]


def queue_and_priority(key: str) -> tuple[str, int]:
    """Return the queue and the priority of a list."""
    queue, _, step = key.partition(Channel.sep)
    return queue, int(step) if step.isdigit() else LIVE


def unacked_key(queue: str) -> str:
    """Return the key of the hash of the messages that workers hold, those that wait for a retry included."""
    return f"{queue}-unacked"


def unacked_index_key(queue: str) -> str:
    """Return the key of the sorted set of their delivery tags, by the time at which they were taken."""
    return f"{unacked_key(queue)}-index"


def count_queued(client: redis.Redis, queue: str) -> int:
    """Return how many messages wait in the queue, whatever their priority.

    Raises:
        RedisError: Redis does not answer.
    """
    return sum(int(client.llen(key)) for key in lists_of(queue))
