"""Values that are read at most once a second, however many requests need them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

from cachetools import TTLCache

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

RECENT_S: Final = 1.0
"""Seconds for which a value counts as that of now."""

MOST: Final = 64
"""Values that are kept: one for each index, and a process reads a few."""


class Recent(Generic[K, V]):
    """Values by key, each read in the last second. Safe to share between threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._values: TTLCache[K, V] = TTLCache(MOST, RECENT_S, timer=clock)
        self._lock = threading.Lock()

    def of(self, key: K, read: Callable[[], V]) -> V:
        """Return the value of the last second, or else read it. An error is raised and not kept."""
        with self._lock:
            if key in self._values:
                return self._values[key]
        value = read()  # without the lock: another key's value must not wait for it
        with self._lock:
            self._values[key] = value
        return value
