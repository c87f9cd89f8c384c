"""Batches that need more memory than there is."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from queues.halving import by_halves


def work_up_to(limit: int, entries: Sequence[int]) -> str:
    """Process at most `limit` entries at once, and never entry 5."""
    if len(entries) > limit or 5 in entries:
        raise MemoryError
    return f"done {[*entries]}"


def give_up(entries: Sequence[int], error: MemoryError) -> str:
    """Name the entry."""
    assert isinstance(error, MemoryError)
    return f"gave up {[*entries]}"


@pytest.mark.parametrize(
    ("limit", "batch", "results"),
    [
        (4, [1, 2, 3, 4], ["done [1, 2, 3, 4]"]),
        (2, [1, 2, 3, 4], ["done [1, 2]", "done [3, 4]"]),
        (2, [1, 2, 3], ["done [1]", "done [2, 3]"]),
        (4, [4, 5, 6], ["done [4]", "gave up [5]", "done [6]"]),
        (0, [1, 2], ["gave up [1]", "gave up [2]"]),
        (0, [], ["done []"]),
    ],
)
def test_a_batch_is_halved_until_it_fits(limit: int, batch: list[int], results: list[str]) -> None:
    """In order. Only an entry that does not fit by itself is given up."""
    assert by_halves(lambda part: work_up_to(limit, part), batch, give_up) == results


def test_other_errors_are_raised() -> None:
    """They are no reason to halve a batch."""
    with pytest.raises(ZeroDivisionError):
        by_halves(lambda _: 1 // 0, [1, 2], lambda *_: 0)
