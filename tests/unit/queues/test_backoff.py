"""Retries wait at random below a bound that doubles, and end."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mappings.failures import ElasticsearchUnavailable
from queues.backoff import retrying, wait_before


def failing(times: int) -> Callable[[], str]:
    """Return a call that fails so many times before it succeeds."""
    left = [times]

    def call() -> str:
        if left[0]:
            left[0] -= 1
            raise ElasticsearchUnavailable("elasticsearch_unavailable", "away")
        return "stored"

    return call


def test_it_retries_until_it_succeeds() -> None:
    """With waits that grow up to a bound, and no two alike."""
    waits: list[float] = []
    assert retrying(3600, 10.0, waits.append)(failing(30)) == "stored"
    assert len(waits) == len({round(wait, 6) for wait in waits}) == 30
    assert waits[0] <= 2
    assert waits[1] <= 4
    assert max(waits) <= 10


def test_its_patience_ends() -> None:
    """With the last failure, not one of the library's own."""
    with pytest.raises(ElasticsearchUnavailable, match="away"):
        retrying(0.0, 10.0)(failing(1))


def test_other_errors_are_not_retried() -> None:
    """A bug stays a bug."""

    def broken() -> None:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        retrying(3600, 10.0)(broken)


def test_waits_of_messages_double_up_to_the_longest() -> None:
    """Random below the bound, so that chunks do not come back together."""
    first = [wait_before(1, 30.0) for _ in range(200)]
    late = [wait_before(1000, 30.0) for _ in range(200)]

    assert 0 <= min(first) < 0.5
    assert 1.5 < max(first) <= 2
    assert 25 < max(late) <= 30
