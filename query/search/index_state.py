"""The state of an index, by which pages of an answer tell whether it has changed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from cachetools import TTLCache

from query.search.reader import IndexReader, RequestDeadline

RECENT_S: Final = 1.0
"""Seconds. A first page may say that the index has changed since a second before it."""


class IndexStates:
    """States of indices. Safe to share between threads."""

    def __init__(self, reader: IndexReader, clock: Callable[[], float] = time.monotonic) -> None:
        self._reader = reader
        self._recent: TTLCache[str, str] = TTLCache(64, RECENT_S, timer=clock)
        self._lock = threading.Lock()

    def recent(self, index: str, deadline: RequestDeadline) -> str:
        """A state of the last second. To be read before a search, so that it is never newer than its answer.

        Raises:
            NoLiveIndex, SearchUnavailable
        """
        with self._lock:
            known = self._recent.get(index)
        if known is None:
            known = self._reader.state(index, deadline)
            with self._lock:
                self._recent[index] = known
        return known
