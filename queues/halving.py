"""Processing of a batch that does not fit into memory at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

T = TypeVar("T")


def by_halves(
    work: Callable[[Sequence[Any]], T],
    batch: Sequence[Any],
    give_up: Callable[[Sequence[Any], MemoryError], T],
) -> list[T]:
    """Return the result of `work` for the batch or, if it runs out of memory, for each half, and so on.

    For a single entry that needs too much memory by itself it is the result of `give_up`. A later part may
    still fail.
    """
    try:
        return [work(batch)]
    except MemoryError as error:
        if len(batch) <= 1:
            return [give_up(batch, error)]
    half = len(batch) // 2
    return by_halves(work, batch[:half], give_up) + by_halves(work, batch[half:], give_up)
