"""The lists of a queue."""

from __future__ import annotations

import pytest

from queues.lanes import BACKFILL, LIVE, list_of, lists_of, queue_and_priority


def test_workers_take_from_the_live_list_first() -> None:
    """Then from the others in order, with the names that kombu gives them."""
    assert lists_of("q") == ["q", "q\x06\x163", "q\x06\x166", "q\x06\x169"]
    assert (list_of("q", LIVE), list_of("q", BACKFILL)) == ("q", "q\x06\x169")


@pytest.mark.parametrize(("priority", "key"), [(-1, "q"), (2, "q"), (5, "q\x06\x163"), (255, "q\x06\x169")])
def test_a_priority_between_two_lists_is_in_the_earlier_one(priority: int, key: str) -> None:
    """As kombu has it."""
    assert list_of("q", priority) == key


@pytest.mark.parametrize(
    ("key", "expected"), [("q", ("q", 0)), ("q\x06\x169", ("q", 9)), ("q\x06\x16x", ("q", 0))]
)
def test_a_list_names_its_queue_and_priority(key: str, expected: tuple[str, int]) -> None:
    """Which is where its messages return to."""
    assert queue_and_priority(key) == expected
