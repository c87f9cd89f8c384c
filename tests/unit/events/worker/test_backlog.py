"""Waiting until all accepted events are stored."""

from __future__ import annotations

import pytest
import redis

from events.errors import EventsNotStored
from events.worker.backlog import Backlog, open_backlog
from events.worker.settings import EventSettings

SETTINGS = EventSettings()


class Counts:
    """A Redis with given lengths of the queue and of the unacknowledged messages at each look."""

    def __init__(self, *looks: tuple[int, int]) -> None:
        self._looks = list(looks)
        self.asked = 0

    def llen(self, key: str) -> int:
        if key != SETTINGS.queue:  # a list of another priority
            return 0
        self.asked += 1
        return self._looks[0][0]

    def hlen(self, key: str) -> int:
        assert key == SETTINGS.unacked_key
        found = self._looks[0][1]
        if len(self._looks) > 1:
            self._looks.pop(0)
        return found


def backlog(counts: Counts) -> Backlog:
    return Backlog(counts, SETTINGS)  # type: ignore[arg-type]  # a stand-in of two methods


def test_queued_and_unacknowledged_messages_count() -> None:
    """A message that a worker holds is not stored yet."""
    assert backlog(Counts((3, 2))).count() == 5


def test_it_waits_until_it_sees_nothing_twice() -> None:
    """Between queue and worker a message is in neither place for a moment."""
    counts = Counts((2, 1), (0, 1), (0, 0), (0, 1), (0, 0), (0, 0))
    backlog(counts).wait(60, pause_s=0)
    assert counts.asked == 6


def test_a_timeout_is_reported() -> None:
    """With the number of messages left."""
    with pytest.raises(EventsNotStored, match=r"4 messages of events not stored after 0 s"):
        backlog(Counts((4, 0))).wait(0, pause_s=0)


def test_an_unreachable_redis_is_reported() -> None:
    """As an error of its client, which every command reports."""
    with pytest.raises(redis.ConnectionError):
        open_backlog(EventSettings(redis_url="redis://127.0.0.1:1/0")).count()
