"""The number of deliveries of a message that did not end: one that kills its workers must stop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import redis

DAY_S: Final = 86_400

MOST_DELIVERIES: Final = 5
"""A message whose worker was killed is delivered again: without a limit, one that kills it forever."""


@dataclass(frozen=True)
class Deliveries:
    """A counter in Redis for each message that a worker holds."""

    client: redis.Redis
    queue: str

    @contextmanager
    def counted(self, message: str) -> Iterator[int]:
        """Yield how often the message was delivered since a delivery last ended, this one included.

        Leaving the block ends a delivery, also by an error: only a process that was killed never leaves it.
        """
        count = self.begin(message)
        try:
            yield count
        finally:
            self.client.delete(self._key(message))

    def begin(self, message: str) -> int:
        """Count a delivery and return how many there were since one last ended, this one included."""
        with self.client.pipeline() as pipe:
            pipe.incr(self._key(message))
            pipe.expire(self._key(message), DAY_S)
            return int(pipe.execute()[0])

    def _key(self, message: str) -> str:
        return f"{self.queue}:deliveries:{message}"
