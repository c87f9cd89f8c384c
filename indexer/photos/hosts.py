"""Hosts of photos: how many requests each gets at once, and which get none because they fail."""

from __future__ import annotations

import random
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final
from urllib.parse import SplitResult
from weakref import WeakValueDictionary

MOST_HOSTS: Final = 10_000
"""Hosts with failures that are remembered, about 5 MB. Beyond it, the one that failed least recently is
forgotten, and is asked again as if it never had."""


class Outcome(Enum):
    """What a request shows about its host."""

    ANSWERED = auto()
    """Anything that the host means, a 404 included."""
    FAILED = auto()
    """A status that a later request may not get, such as 503."""
    SILENT = auto()
    """No connection, no answer, or none within the time of a photo."""


class Admission(Enum):
    """What to do with a request."""

    SEND = auto()
    PROBE = auto()
    """Fail it, and send it without anyone waiting for it."""
    FAIL = auto()


@dataclass(frozen=True)
class BreakerLimits:
    """When the breaker of a host opens, and for how long."""

    silent: int = 5
    """Requests in a row without an answer: each holds a thread for seconds."""
    requests: int = 20
    failed_share: float = 0.8
    """Share of the last `requests` that failed. Answers such as 503 cost no time, and on a host that many
    sellers share, a few bad URLs in a row are no reason to stop."""
    window_s: float = 60
    """How long a request counts."""
    first_wait_s: float = 5
    longest_wait_s: float = 60
    """Doubles from the first after each failed probe. Both vary by half, so that processes do not probe in
    step."""


@dataclass
class Breaker:
    """The recent requests to one host. Not thread-safe: `Breakers` holds a lock."""

    recent: deque[tuple[float, Outcome]]
    silent: int = 0
    openings: int = 0
    opened_until: float | None = None
    """None while closed."""
    probing: bool = False
    detail: str = ""
    """The last failure."""


@dataclass
class Breakers:
    """The circuit breakers of all hosts. Used by many threads at once."""

    limits: BreakerLimits = field(default_factory=BreakerLimits)
    clock: Callable[[], float] = time.monotonic
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _by_host: OrderedDict[str, Breaker] = field(default_factory=OrderedDict)

    def admit(self, host: str) -> tuple[Admission, str]:
        """Return what to do with a request to the host, and its last failure if it is not sent.

        While a breaker is open, no request is sent; after that one at a time, as a probe, until one succeeds.
        """
        with self._lock:
            breaker = self._by_host.get(host)
            if breaker is None or breaker.opened_until is None:
                return Admission.SEND, ""
            if breaker.probing or self.clock() < breaker.opened_until:
                return Admission.FAIL, breaker.detail
            breaker.probing = True
            return Admission.PROBE, breaker.detail

    def record(self, host: str, outcome: Outcome, detail: str = "") -> None:
        """Record what a request to the host showed."""
        with self._lock:
            breaker = self._by_host.get(host)
            if breaker is None and outcome is Outcome.ANSWERED:
                return  # a host that never failed takes no memory
            if breaker is None:
                breaker = self._by_host[host] = Breaker(deque(maxlen=self.limits.requests))
            self._by_host.move_to_end(host)
            if breaker.probing:
                self._end_probe(host, breaker, outcome)
            elif breaker.opened_until is None:
                self._count(breaker, outcome)
            breaker.detail = detail or breaker.detail
            if len(self._by_host) > MOST_HOSTS:
                self._by_host.popitem(last=False)

    def is_open(self, host: str) -> bool:
        """Return whether requests to the host fail without being sent."""
        with self._lock:
            breaker = self._by_host.get(host)
            return breaker is not None and breaker.opened_until is not None

    def _count(self, breaker: Breaker, outcome: Outcome) -> None:
        now = self.clock()
        breaker.recent.append((now, outcome))
        breaker.silent = breaker.silent + 1 if outcome is Outcome.SILENT else 0
        counted = [each for at, each in breaker.recent if now - at <= self.limits.window_s]
        failed = sum(each is not Outcome.ANSWERED for each in counted)
        often = len(counted) == self.limits.requests and failed >= self.limits.failed_share * len(counted)
        if breaker.silent >= self.limits.silent or often:
            self._open(breaker)

    def _end_probe(self, host: str, breaker: Breaker, outcome: Outcome) -> None:
        if outcome is Outcome.ANSWERED:
            del self._by_host[host]
        else:
            breaker.probing = False
            self._open(breaker)

    def _open(self, breaker: Breaker) -> None:
        wait = min(self.limits.first_wait_s * 2**breaker.openings, self.limits.longest_wait_s)
        breaker.opened_until = self.clock() + wait * random.uniform(0.5, 1.5)  # noqa: S311  # no secret
        breaker.openings = min(breaker.openings + 1, 10)


class HostLimit:
    """Limits how many photos are fetched from one host at once. A host that is not in use takes no memory."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._semaphores: WeakValueDictionary[str, threading.Semaphore] = WeakValueDictionary()

    def of(self, parts: SplitResult) -> threading.Semaphore:
        """Return the semaphore of a URL's host, to be held during the fetch."""
        with self._lock:
            semaphore = self._semaphores.get(parts.netloc)
            if semaphore is None:
                semaphore = self._semaphores[parts.netloc] = threading.Semaphore(self._limit)
            return semaphore
