"""The summary in a retry has all counts of the earlier attempts."""

from __future__ import annotations

from dataclasses import fields
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.summary import IndexingSummary
from indexer.worker.arguments import TASKS
from queues.listings.names import INDEX_TASK
from queues.messages import TaskMessage, parse_message

COUNTS = st.integers(0, 10**6)
REASONS = st.dictionaries(st.text("abc_", min_size=1, max_size=9), st.integers(1, 10**6), max_size=4)


def carried(summary: IndexingSummary) -> IndexingSummary:
    """Return the summary as the next attempt reads it from its message."""
    raw = TaskMessage(INDEX_TASK, [[], summary.to_json()], {}, retries=1).to_bytes("q")
    return IndexingSummary.from_json(parse_message(raw, TASKS, longest_wait=timedelta(minutes=2)).args[1])


@pytest.mark.parametrize("name", [field.name for field in fields(IndexingSummary)])
def test_a_retry_carries_each_field_of_the_summary(name: str) -> None:
    """A field that the arguments lack would cause every retry to be refused."""
    count: Any = {"x": 3} if isinstance(getattr(IndexingSummary(), name), dict) else 3
    summary = IndexingSummary(**{name: {"x": [["m7", "price: …"]]} if name == "examples" else count})
    assert carried(summary).to_json() == summary.to_json()


@given(st.builds(IndexingSummary, COUNTS, COUNTS, COUNTS, REASONS, REASONS))
def test_a_retry_carries_any_summary(summary: IndexingSummary) -> None:
    """With any combination of counts."""
    assert carried(summary) == summary
