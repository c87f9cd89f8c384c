"""How often a message was given out without coming to an end: one that kills its workers must stop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import redis

DAY_S: Final = 86_400

MOST_DELIVERIES: Final = 5
"""A message whose worker was killed comes back. One that kills its workers would do so for ever."""


@dataclass(frozen=True)
class Deliveries:
    """A counter in Redis for each message in a worker's hands."""

    client: redis.Redis
    queue: str

    @contextmanager
    def counted(self, message: str) -> Iterator[int]:
        """How often the message was given out since it last came to an end, this time included.

        Leaving the block is such an end, an error too: only a process that was killed never leaves it.
        """
        count = self.begin(message)
        try:
            yield count
        finally:
            self.client.delete(self._key(message))

    def begin(self, message: str) -> int:
        """How often the message was given out since it last came to an end, this time included."""
        with self.client.pipeline() as pipe:
            pipe.incr(self._key(message))
            pipe.expire(self._key(message), DAY_S)
            return int(pipe.execute()[0])

    def _key(self, message: str) -> str:
        return f"{self.queue}:deliveries:{message}"
