"""How events become messages."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from indexer.intake.submission import split
from indexer.worker.arguments import INDEX_TASK
from queues.messages import MOST_BYTES, TaskMessage
from tests.factories import make_event

EVENTS = st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=30), max_size=3), max_size=20)


@given(EVENTS, st.integers(1, 200))
def test_parts_hold_every_event_in_order_and_at_most_so_many_bytes(events: list[Any], most: int) -> None:
    """Only an event that is larger by itself is more, and then alone."""
    parts = list(split(events, most))

    assert [event for part in parts for event in part] == events
    assert all(len(part) == 1 or sum(len(json.dumps(event)) for event in part) <= most for part in parts)
    first_of_next = [part[0] for part in parts[1:]]
    for part, following in zip(parts, first_of_next, strict=False):
        assert sum(len(json.dumps(event)) for event in [*part, following]) > most


def test_a_chunk_of_the_longest_rows_makes_messages_that_a_worker_takes() -> None:
    """64 rows of 0.82 million characters, each of which JSON escapes in six bytes."""
    events = [make_event(title="\u670d" * 820_000)] * 64
    sizes = [len(TaskMessage(INDEX_TASK, [part], {}).to_bytes("q")) for part in split(events)]

    assert max(sizes) < MOST_BYTES / 2
