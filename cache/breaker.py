"""A circuit breaker: a service that has failed is left alone for a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class CircuitBreaker:
    """After a failure, one request in `pause_s` tries the service again. Thread-safe."""

    def __init__(self, pause_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._pause_s, self._clock = pause_s, clock
        self._lock = threading.Lock()
        self._paused_until: float | None = None

    def may_try(self) -> bool:
        """Whether to call the service now."""
        with self._lock:
            if self._paused_until is None:
                return True
            if self._clock() < self._paused_until:
                return False
            self._paused_until = self._clock() + self._pause_s  # others wait for this one's result
            return True

    def succeeded(self) -> None:
        """Note that the service answered."""
        self._paused_until = None

    def failed(self) -> bool:
        """Note that it did not; return whether it did the last time."""
        with self._lock:
            first = self._paused_until is None
            self._paused_until = self._clock() + self._pause_s
        return first
