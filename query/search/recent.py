"""Values that are kept for a second, since many requests need them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from cachetools import TLRUCache

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

RECENT_S: Final = 1.0
"""Seconds for which a value is kept, from the moment at which its reading began."""

MOST: Final = 64
"""Values that are kept: one for each index, and a process reads a few."""


@dataclass(frozen=True)
class _Read(Generic[V]):
    value: V
    begun: float


class Recent(Generic[K, V]):
    """Values by key, each from a read that began in the last second. Safe to share between threads.

    Threads that miss a value at the same time read it each.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._values: TLRUCache[K, _Read[V]] = TLRUCache(
            MOST, lambda _, read, __: read.begun + RECENT_S, timer=clock
        )
        self._clock = clock
        self._lock = threading.Lock()

    def of(self, key: K, read: Callable[[], V]) -> V:
        """Return the value of the last second, or else read it. An error is raised and not kept."""
        with self._lock:
            if kept := self._values.get(key):
                return kept.value
        begun = self._clock()
        value = read()  # without the lock: another key's value must not wait for it
        with self._lock:
            kept = self._values.get(key)
            if kept is None or kept.begun <= begun:  # a slow read may end after a later one
                self._values[key] = _Read(value, begun)
        return value
