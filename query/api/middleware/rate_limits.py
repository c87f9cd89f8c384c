"""Rate limits per key and per address, counted in Redis by the library `limits`.

All processes of all servers count together. Each takes permits in blocks of half a percent of the limit: a
count for each request would be an fsync for each, since the Redis of the queues syncs what it is told.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cachetools import TTLCache
from limits import RateLimitItem, parse_many
from limits.errors import StorageError
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from cache.answers import PAUSE_S, cache_client
from cache.breaker import CircuitBreaker
from query.api.errors import TooManyRequests
from query.api.middleware.settings import OFF
from settings.errors import REDIS, how_to_start

log = logging.getLogger(__name__)

BLOCKS: Final = 200
"""Blocks of a limit. Up to one for each process is taken and not used."""

MOST_CALLERS: Final = 10_000
"""Of whom a process remembers what it has left."""


class Counter:
    """Requests to one API, counted in Redis. While it is unavailable, each process counts for itself."""

    def __init__(self, redis_url: str, prefix: str) -> None:
        """Redis is not called yet."""
        storage = RedisStorage(
            redis_url,
            connection_pool=cache_client(redis_url).connection_pool,
            key_prefix=f"nitamono-{prefix}:limits",
            wrap_exceptions=True,
        )
        self._shared = SlidingWindowCounterRateLimiter(storage)
        self._own = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._breaker = CircuitBreaker(PAUSE_S)

    def take(self, limit: RateLimitItem, caller: str, permits: int) -> int | None:
        """Take permits, all or none: return None, or in how many seconds the next one is free."""
        if self._breaker.may_try():
            try:
                wait_s = _take(self._shared, limit, caller, permits)
            except StorageError as error:
                if self._breaker.failed():
                    log.warning(
                        "each process limits requests for itself: Redis is unavailable (%s); %s",
                        error.storage_error,
                        how_to_start(REDIS),
                    )
            else:
                self._breaker.succeeded()
                return wait_s
        return _take(self._own, limit, caller, permits)


@dataclass
class _Share:
    """What a process knows of a caller."""

    permits: int = 0
    refused_until: float = 0.0


class SharedLimit:
    """One limit. Thread-safe."""

    def __init__(
        self, limit: RateLimitItem, counter: Counter, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit, self._counter, self._clock = limit, counter, clock
        self._block = max(1, limit.amount // BLOCKS)
        self._shares: TTLCache[str, _Share] = TTLCache(MOST_CALLERS, limit.get_expiry(), timer=clock)
        self._lock = threading.Lock()

    def check(self, caller: str) -> None:
        """Count a request.

        Raises:
            TooManyRequests: it is one too many.
        """
        with self._lock:
            share = self._shares.setdefault(caller, _Share())
            if share.permits:
                share.permits -= 1
                return
            wait_s = share.refused_until - self._clock()
        if wait_s <= 0:
            wait_s = self._take_block(caller, share)
        if wait_s > 0:
            raise TooManyRequests(
                f"more than {self._limit} from one {caller.partition(' ')[0]}", math.ceil(wait_s)
            )

    def _take_block(self, caller: str, share: _Share) -> float:
        """Take a block of permits, or the last one; return 0, or the seconds until the next is free."""
        wait_s: int | None = None
        for permits in sorted({self._block, 1}, reverse=True):
            wait_s = self._counter.take(self._limit, caller, permits)
            if wait_s is None:
                with self._lock:
                    share.permits += permits - 1
                return 0
        share.refused_until = self._clock() + (wait_s or 0)
        return wait_s or 0


class RateLimits:
    """All limits of one kind of caller, such as keys."""

    def __init__(self, kind: str, limits: str, counter: Counter) -> None:
        """Nothing is counted yet.

        Args:
            kind: the kind of caller, for messages and the keys in Redis.
            limits: such as `100/second;60000/hour`, or `off`.
            counter: counts.
        """
        self._kind = kind
        self._limits = [
            SharedLimit(limit, counter) for limit in ([] if limits == OFF else parse_many(limits))
        ]

    def check(self, caller: str) -> None:
        """Count a request.

        Raises:
            TooManyRequests: it is one too many.
        """
        for limit in self._limits:
            limit.check(f"{self._kind} {caller}")


def _take(
    limiter: SlidingWindowCounterRateLimiter, limit: RateLimitItem, caller: str, permits: int
) -> int | None:
    if limiter.hit(limit, caller, cost=permits):
        return None
    free_at = limiter.get_window_stats(limit, caller).reset_time
    return max(1, math.ceil(free_at - time.time()))
