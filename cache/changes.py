"""Marks on the items that are written, by which stored answers that show them become stale."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Final

import redis

from cache.protocol import BEGIN, END, MAX_TTL_S, VISIBLE_AFTER_S, CacheKeys
from mappings.failures import TransientFailure

log = logging.getLogger(__name__)

REDIS_UNAVAILABLE: Final = "redis_unavailable"

Marking = Callable[[Sequence[str]], AbstractContextManager[None]]
"""What surrounds a write of these items."""


class RedisUnavailable(TransientFailure):
    """Redis takes no marks now."""


def unmarked(_: Sequence[str]) -> AbstractContextManager[None]:
    """Surround a write to an index that no answer comes from."""
    return nullcontext()


class Changes:
    """The marks of one index prefix."""

    def __init__(
        self,
        client: redis.Redis,
        prefix: str,
        *,
        longest_write_s: float,
        visible_after_s: float = VISIBLE_AFTER_S,
    ) -> None:
        """Nothing is sent to Redis yet.

        longest_write_s: seconds after which a write that was begun can no longer happen.
        visible_after_s: seconds from the end of a write until searches show it.
        """
        self._keys = CacheKeys(prefix)
        self._begin, self._end = client.register_script(BEGIN), client.register_script(END)
        self._visible_ms = int(visible_after_s * 1000)
        self._hold_ms = int(longest_write_s * 1000) + self._visible_ms
        self._life_ms = self._hold_ms + MAX_TTL_S * 1000

    def announce(self) -> None:
        """Let answers be stored, from when searches show what was written before this process began.

        A write does so too, after a longer time: other writes may have lost their marks, by FLUSHALL.

        Raises:
            RedisUnavailable
        """
        self._mark((), "", since_ms=self._visible_ms)

    @contextmanager
    def of(self, item_ids: Sequence[str]) -> Iterator[None]:
        """Mark the items before the block writes them, and again when it has ended without an error.

        From the first mark on, no answer that shows them is stored or served. So it does no harm if this
        process is killed before the second, which only lets answers be stored again sooner.

        Raises:
            RedisUnavailable: the first mark failed, and the block was not entered.
        """
        write = uuid.uuid4().hex
        self._mark(item_ids, write, since_ms=self._hold_ms)
        yield
        try:
            self._end(keys=self._marks(item_ids), args=[write, self._visible_ms, self._life_ms])
        except redis.RedisError as error:
            log.warning("the end of a write is not marked: %s", error)

    def _mark(self, item_ids: Sequence[str], write: str, *, since_ms: int) -> None:
        try:
            self._begin(
                keys=[self._keys.since, *self._marks(item_ids)],
                args=[since_ms, write, self._hold_ms, self._life_ms],
            )
        except redis.RedisError as error:
            raise RedisUnavailable(REDIS_UNAVAILABLE, str(error)) from error

    def _marks(self, item_ids: Sequence[str]) -> list[str]:
        return [f"{self._keys.changed}{item_id}" for item_id in item_ids]
