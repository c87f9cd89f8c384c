"""How many messages may wait, and when there will be room."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

WINDOW_S: Final = 30.0
"""The rate is measured over the last half minute."""

SHORTEST_S: Final = 0.2
"""Between two looks that count."""

UNKNOWN_S: Final = 5
LONGEST_S: Final = 60
ROOM: Final = 0.1
"""Share of the limit that should be free when a sender comes back: else all of them find it full again."""


class Backpressure:
    """The bound of a queue, and the rate at which it drains as far as this process sees. Thread-safe."""

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit = limit
        self._clock = clock
        self._looks: deque[tuple[float, int]] = deque()
        self._lock = threading.Lock()

    def wait_s(self, queued: int) -> int | None:
        """Return in how many seconds a sender should come back; None if there is room now.

        queued: the messages that wait now.
        """
        now = self._clock()
        with self._lock:
            while self._looks and self._looks[0][0] < now - WINDOW_S:
                self._looks.popleft()
            if not self._looks or now - self._looks[-1][0] >= SHORTEST_S:
                self._looks.append((now, queued))
            first = self._looks[0]
        if queued < self.limit:
            return None
        return self._until_room(queued, now, first)

    def _until_room(self, queued: int, now: float, first: tuple[float, int]) -> int:
        at, before = first
        drained = before - queued
        if drained <= 0 or now <= at:
            return UNKNOWN_S
        rate = drained / (now - at)
        excess = queued - self.limit * (1 - ROOM)
        return max(1, min(LONGEST_S, math.ceil(excess / rate)))
