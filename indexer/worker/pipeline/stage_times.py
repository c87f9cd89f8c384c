"""Durations of the stages of a chunk, and counts of what happened in them."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager


class StageTimes:
    """Seconds by stage and occurrences by code, summed over threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.counts: Counter[str] = Counter()

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Add the time spent in the block to the stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            with self._lock:
                self.seconds[stage] += time.perf_counter() - start

    def count(self, code: str) -> None:
        """Count one occurrence."""
        with self._lock:
            self.counts[code] += 1
