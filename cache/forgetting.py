"""Deletion of stored answers that show an item."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import islice
from typing import Any, Final

import redis

from cache.protocol import CacheKeys

AT_ONCE: Final = 500
"""Answers whose items are read in one round trip."""


def answers_with(client: redis.Redis, prefix: str, item_ids: Collection[str]) -> Iterator[bytes]:
    """Yield the keys of the stored answers with one of the items.

    Raises:
        RedisError: Redis does not answer.
    """
    wanted = {item_id.encode() for item_id in item_ids}
    keys: Iterator[bytes] = client.scan_iter(match=CacheKeys(prefix).answer("*"), count=AT_ONCE)
    while part := list(islice(keys, AT_ONCE)):
        with client.pipeline(transaction=False) as pipe:
            for key in part:
                pipe.hget(key, "items")
            shown: list[Any] = pipe.execute()
        yield from (
            key for key, items in zip(part, shown, strict=True) if wanted & set((items or b"").split(b"\n"))
        )


def forget_answers(client: redis.Redis, prefix: str, item_ids: Collection[str]) -> int:
    """Delete the stored answers with one of the items, and return how many there were.

    Raises:
        RedisError: Redis does not answer.
    """
    found = list(answers_with(client, prefix, item_ids))
    if found:
        with client.pipeline() as pipe:
            pipe.delete(*found)
            pipe.zrem(CacheKeys(prefix).expiries, *found)
            pipe.execute()
    return len(found)
