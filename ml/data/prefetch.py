"""Work that is started a bounded number of items before its result is needed."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from itertools import islice
from typing import Final, TypeVar

PREFETCH: Final = 64
"""Photos decoded in advance: two batches of the encoder, one of which waits while the other is encoded.
At 256 pixels per side they take 13 MB."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def prefetch(
    pool: Executor, work: Callable[[Item], Result], items: Iterable[Item], *, limit: int = PREFETCH
) -> Iterator[Result]:
    """Yield `work(item)` for each item, in order, with at most `limit` items in progress or waiting.

    Executor.map would start them all and so hold every decoded photo in memory at once.
    """
    remaining = iter(items)
    started = deque(pool.submit(work, item) for item in islice(remaining, limit))
    while started:
        result = started.popleft().result()
        started.extend(pool.submit(work, item) for item in islice(remaining, 1))
        yield result
