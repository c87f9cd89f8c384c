"""Stored answers: looked up and stored by the API, which goes on without them where Redis is unavailable."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from cache.breaker import CircuitBreaker
from cache.protocol import LOOK_UP, STORE, CacheKeys
from settings.errors import REDIS, how_to_start

log = logging.getLogger(__name__)

TIMEOUT_S: Final = 0.5
"""For Redis to take a connection, or to answer. An fsync of a busy disk takes 0.2 s at times."""

PAUSE_S: Final = 5.0
"""After a failure, until Redis is tried again, by one request of the process."""


class CacheState(StrEnum):
    """Whether answers are served from the cache."""

    ON = "on"
    OFF = "off"
    UNAVAILABLE = "unavailable"
    NO_WORKER = "no_worker"


@dataclass(frozen=True)
class CacheCounts:
    """The state of the cache as this process saw it last, and its look-ups so far."""

    state: CacheState
    hits: int = 0
    misses: int = 0


@dataclass(frozen=True)
class LookUp:
    """A stored answer, or what is needed to store one."""

    content: bytes | None = None
    started_ms: int | None = None
    """Redis' clock at the look-up, before any search. None where nothing can be stored."""


def cache_client(url: str) -> redis.Redis:
    """A client that gives up at once."""
    return redis.Redis.from_url(
        url, socket_connect_timeout=TIMEOUT_S, socket_timeout=TIMEOUT_S, retry=Retry(NoBackoff(), 0)
    )


def digest_of(question: bytes) -> str:
    """A key for everything that an answer follows from."""
    return hashlib.blake2b(question, digest_size=16).hexdigest()


class AnswerCache:
    """The stored answers of every index prefix. Safe to share between threads."""

    def __init__(
        self,
        client: redis.Redis,
        *,
        ttl_s: float,
        most: int,
        pause_s: float = PAUSE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Redis is not called yet.

        most: the number of answers that are kept, of each prefix; 0 turns the cache off.
        """
        self._look_up, self._store = client.register_script(LOOK_UP), client.register_script(STORE)
        self._ttl_ms, self._most = int(ttl_s * 1000), most
        self._breaker = CircuitBreaker(pause_s, clock)
        self._lock = threading.Lock()
        self._counts = CacheCounts(CacheState.ON if most else CacheState.OFF)

    @property
    def is_on(self) -> bool:
        """Whether any answer may be kept."""
        return self._most > 0

    @property
    def counts(self) -> CacheCounts:
        """The state and the look-ups of this process."""
        return self._counts

    def look_up(self, prefix: str, digest: str) -> LookUp:
        """Return the answer, unless an item in it has changed since."""
        keys = CacheKeys(prefix)
        found = self._call(self._look_up, [keys.answer(digest), keys.since], [keys.changed])
        if found is None:
            return self._counted(CacheState.UNAVAILABLE, LookUp())
        now, since, content = found
        if since is None:
            return self._counted(CacheState.NO_WORKER, LookUp())
        return self._counted(CacheState.ON, LookUp(content and zlib.decompress(content), now))

    def store(
        self, prefix: str, digest: str, started_ms: int, item_ids: Iterable[str], content: bytes
    ) -> None:
        """Store an answer whose search began after `started_ms`, unless an item in it has changed since."""
        keys = CacheKeys(prefix)
        lines = "\n".join(item_ids)  # ids have no control characters
        packed = zlib.compress(content, 1)
        self._call(
            self._store,
            [keys.answer(digest), keys.since, keys.expiries],
            [keys.changed, started_ms, lines, packed, self._ttl_ms, self._most],
        )

    def _call(self, script: Any, keys: list[str], arguments: list[Any]) -> Any:
        """The script's result, or None where Redis is unavailable."""
        if not self._breaker.may_try():
            return None
        try:
            result = script(keys=keys, args=arguments)
        except redis.RedisError as error:
            if self._breaker.failed():
                log.warning(
                    "answers are not cached: Redis is unavailable (%s); %s", error, how_to_start(REDIS)
                )
            return None
        self._breaker.succeeded()
        return result

    def _counted(self, state: CacheState, found: LookUp) -> LookUp:
        hit = found.content is not None
        with self._lock:
            before = self._counts
            self._counts = CacheCounts(state, before.hits + hit, before.misses + (not hit))
        return found
