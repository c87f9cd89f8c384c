"""A small state in Elasticsearch that every request needs, read every few seconds and cached in between."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from elasticsearch import ApiError, TransportError

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Refreshed(Generic[T]):
    """A cached state. Thread-safe.

    At most one request in `max_age_s` reads the state; concurrent requests use the previous one. If
    Elasticsearch does not answer, the last known state holds for `stale_after_s`.
    """

    def __init__(
        self,
        read: Callable[[], T],
        what: str,
        *,
        max_age_s: float,
        wait_after_s: float,
        stale_after_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is read yet.

        Args:
            read: reads the state; it should give up soon, since one request waits for it.
            what: the state, for the log, such as `which experiments are stopped`.
            max_age_s: seconds after which the state is read again.
            wait_after_s: seconds without a reading after which concurrent requests wait for the next one.
            stale_after_s: seconds without an answer after which the state is unknown.
            clock: monotonic seconds.
        """
        self._read, self._what = read, what
        self._max_age_s, self._wait_after_s, self._stale_after_s = max_age_s, wait_after_s, stale_after_s
        self._clock = clock
        self._asking = threading.Lock()
        self._value: T | None = None
        self._asked_at = self._learned_at = -math.inf

    def value(self) -> T | None:
        """The state, or None while unknown: never read, or too long ago.

        Concurrent requests wait for each other only at the start of a process and after a time without
        requests.
        """
        since = self._since(self._asked_at)
        if since >= self._max_age_s and self._asking.acquire(blocking=since >= self._wait_after_s):
            try:
                if self._since(self._asked_at) >= self._max_age_s:
                    self._ask()
            finally:
                self._asking.release()
        return self._value if self._since(self._learned_at) < self._stale_after_s else None

    def age_s(self) -> float | None:
        """Seconds since the state was last read from Elasticsearch, or None if it never was."""
        age = self._since(self._learned_at)
        return age if math.isfinite(age) else None

    def _since(self, moment: float) -> float:
        return self._clock() - moment

    def _ask(self) -> None:
        begun = self._clock()
        try:
            self._value = self._read()
            self._learned_at = begun  # set after the value, because other threads read both
        except (ApiError, TransportError) as error:
            logger.warning("cannot read %s: %s", self._what, error)
        self._asked_at = self._clock()
