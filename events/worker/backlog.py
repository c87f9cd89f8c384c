"""Events that the API accepted and that are not stored yet."""

from __future__ import annotations

import time
from typing import Final

import redis

from console.counts import count_of
from events.errors import EventsNotStored
from events.worker.settings import EventSettings
from queues.lanes import count_queued

PAUSE_S: Final = 0.5


class Backlog:
    """The messages in the queue of events and in its workers."""

    def __init__(self, client: redis.Redis, settings: EventSettings) -> None:
        self._client = client
        self._settings = settings

    def count(self) -> int:
        """Return the number of messages in the queue or in a worker.

        Raises:
            RedisError: Redis does not answer.
        """
        queued = count_queued(self._client, self._settings.queue)
        return queued + int(self._client.hlen(self._settings.unacked_key))

    def wait(self, longest_s: float, *, pause_s: float = PAUSE_S) -> None:
        """Return once no message is found twice in a row: one on its way to a worker is in neither place.

        Args:
            longest_s: seconds to wait at most.
            pause_s: seconds between two looks; fixed, since a backoff is for requests that fail.

        Raises:
            EventsNotStored: a message still waits after that time.
            RedisError: Redis does not answer.
        """
        end, empty = time.monotonic() + longest_s, 0
        while empty < 2:
            left = self.count()
            empty = 0 if left else empty + 1
            if left and time.monotonic() > end:
                raise EventsNotStored(
                    f"{count_of(left, 'message')} of events not stored after {longest_s:g} s; "
                    "`nitamono demo status` shows whether the worker of events runs, its log has the cause"
                )
            time.sleep(pause_s)


def open_backlog(settings: EventSettings) -> Backlog:
    """Return the backlog in the Redis of the settings."""
    client = redis.Redis.from_url(settings.redis_url, socket_timeout=10, socket_connect_timeout=5)
    return Backlog(client, settings)
