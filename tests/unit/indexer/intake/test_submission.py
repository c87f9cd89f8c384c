"""The split of events into messages, and retries while Redis is unavailable."""

from __future__ import annotations

import json
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from indexer.intake.submission import QueueUnavailable, retry_redis, split
from queues.listings.names import INDEX_TASK
from queues.messages import MOST_BYTES, TaskMessage
from tests.factories import make_event

EVENTS = st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=30), max_size=3), max_size=20)


@given(EVENTS, st.integers(1, 200))
def test_parts_have_all_events_in_order_and_a_limited_size(events: list[Any], max_bytes: int) -> None:
    """Only an event that is larger than the limit exceeds it, in a part of its own."""
    parts = list(split(events, max_bytes))

    assert [event for part in parts for event in part] == events
    assert all(len(part) == 1 or sum(len(json.dumps(event)) for event in part) <= max_bytes for part in parts)
    first_of_next = [part[0] for part in parts[1:]]
    for part, following in zip(parts, first_of_next, strict=False):
        assert sum(len(json.dumps(event)) for event in [*part, following]) > max_bytes


def test_a_chunk_of_the_longest_rows_fits_into_messages() -> None:
    """64 rows of 0.82 million characters, each of which JSON escapes in six bytes."""
    events = [make_event(title="\u670d" * 820_000)] * 64
    sizes = [len(TaskMessage(INDEX_TASK, [part], {}).to_bytes("q")) for part in split(events)]

    assert max(sizes) < MOST_BYTES / 2


def test_a_call_is_retried_until_redis_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a restart of Redis."""
    monkeypatch.setattr("queues.backoff.FIRST_BOUND_S", 0.001)
    answers = iter([redis.ConnectionError("away"), redis.TimeoutError("slow"), 7])

    def call() -> int:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert retry_redis(call) == 7


def test_a_redis_that_stays_away_is_reported_with_the_next_step() -> None:
    """Other errors are not retried."""

    def away() -> None:
        raise redis.ConnectionError("Error 111 connecting to localhost:6379")

    with pytest.raises(QueueUnavailable, match=r"Redis does not answer \(Error 111.*`make up`"):
        retry_redis(away, patience_s=0)
    with pytest.raises(ZeroDivisionError):
        retry_redis(lambda: 1 // 0)
