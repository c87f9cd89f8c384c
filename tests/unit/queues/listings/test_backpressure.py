"""When a sender should come back to a full queue."""

from __future__ import annotations

import pytest

from queues.listings.backpressure import LONGEST_S, UNKNOWN_S, Backpressure


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock at 0."""
    return Clock()


def test_there_is_room_below_the_limit(clock: Clock) -> None:
    """And none at it."""
    queue = Backpressure(100, clock)
    assert queue.wait_s(99) is None
    assert queue.wait_s(100) == UNKNOWN_S


def test_the_wait_follows_from_the_rate_at_which_the_queue_became_shorter(clock: Clock) -> None:
    """Until a tenth of it is free."""
    queue = Backpressure(1000, clock)
    queue.wait_s(1500)
    clock.now = 10.0
    assert queue.wait_s(1200) == 10  # 30 a second, and 300 above 900
    clock.now = 20.0
    assert queue.wait_s(1000) == 4  # 25 a second, and 100 above 900


def test_what_is_long_ago_does_not_count(clock: Clock) -> None:
    """Half a minute."""
    queue = Backpressure(1000, clock)
    queue.wait_s(100_000)
    clock.now = 31.0
    assert queue.wait_s(1000) == UNKNOWN_S


def test_the_wait_is_bounded(clock: Clock) -> None:
    """A queue that hardly moves is looked at again in a minute, one that drains fast in a second."""
    queue = Backpressure(1000, clock)
    queue.wait_s(50_000)
    clock.now = 1.0
    assert queue.wait_s(49_999) == LONGEST_S
    clock.now = 2.0
    assert queue.wait_s(1_000) == 1
