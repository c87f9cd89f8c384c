"""Work begun before it is asked for, but not far before."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from itertools import islice
from typing import Final, TypeVar

PREFETCH: Final = 64
"""Photos decoded ahead: of two batches of the encoder one waits while the other is encoded. At 256 pixels
they take 13 MB."""

Given = TypeVar("Given")
Made = TypeVar("Made")


def prefetch(
    pool: Executor, work: Callable[[Given], Made], items: Iterable[Given], *, limit: int = PREFETCH
) -> Iterator[Made]:
    """What `work` makes of each item, in order, with at most `limit` items begun and not yet taken.

    Executor.map would begin them all, and so hold every decoded photo in memory at once.
    """
    remaining = iter(items)
    begun = deque(pool.submit(work, item) for item in islice(remaining, limit))
    while begun:
        made = begun.popleft().result()
        begun.extend(pool.submit(work, item) for item in islice(remaining, 1))
        yield made
