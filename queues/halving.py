"""Work on a batch that does not fit into memory at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

T = TypeVar("T")


def by_halves(
    work: Callable[[Sequence[Any]], T],
    batch: Sequence[Any],
    give_up: Callable[[Sequence[Any], MemoryError], T],
) -> list[T]:
    """What `work` returns for the batch, or, where it runs out of memory, for each half of it, and so on;
    for a single entry that needs too much by itself, what `give_up` returns. A later part may still fail."""
    try:
        return [work(batch)]
    except MemoryError as error:
        if len(batch) <= 1:
            return [give_up(batch, error)]
    half = len(batch) // 2
    return by_halves(work, batch[:half], give_up) + by_halves(work, batch[half:], give_up)
