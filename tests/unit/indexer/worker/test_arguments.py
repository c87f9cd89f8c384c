"""The account in the arguments of a retry is complete."""

from __future__ import annotations

from dataclasses import fields
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.summary import Account
from indexer.worker.arguments import INDEX_TASK, TASKS
from queues.messages import TaskMessage, parse_message

COUNTS = st.integers(0, 10**6)
REASONS = st.dictionaries(st.text("abc_", min_size=1, max_size=9), st.integers(1, 10**6), max_size=4)


def carried(account: Account) -> Account:
    """The account, as the next attempt reads it from its message."""
    raw = TaskMessage(INDEX_TASK, [[], account.to_json()], {}, retries=1).to_bytes("q")
    return Account.from_json(parse_message(raw, TASKS, longest_wait=timedelta(minutes=2)).args[1])


@pytest.mark.parametrize("name", [field.name for field in fields(Account)])
def test_a_retry_carries_each_field_of_the_account(name: str) -> None:
    """A field that the arguments lack would have every retry refused."""
    count = {"x": 3} if isinstance(getattr(Account(), name), dict) else 3
    account = Account(**{name: count})
    assert carried(account) == account


@given(st.builds(Account, COUNTS, COUNTS, COUNTS, REASONS, REASONS))
def test_a_retry_carries_any_account(account: Account) -> None:
    """Sums are consistent."""
    assert carried(account) == account
