"""Patience with Elasticsearch, and what a message becomes that nothing can be made of."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from events.worker.rejected import RejectedEvent
from events.worker.search_errors import EventsUnavailable
from events.worker.settings import EventSettings
from events.worker.store import LONGEST_WAIT_S, Account, store_patiently


def failing(times: int) -> Callable[[], Account]:
    """A store that takes events at the last try."""
    left = [times]

    def store() -> Account:
        if left[0]:
            left[0] -= 1
            raise EventsUnavailable("away")
        return Account(stored=1)

    return store


def test_it_tries_again_until_it_succeeds() -> None:
    """With waits that grow up to a bound and never begin at the same moment for all."""
    waits: list[float] = []
    assert store_patiently(failing(30), 3600, waits.append) == Account(stored=1)
    assert len(waits) == 30
    assert waits[0] <= 1
    assert waits[1] <= 2
    assert max(waits) <= LONGEST_WAIT_S
    assert len({round(wait, 6) for wait in waits}) == 30


def test_its_patience_ends() -> None:
    """Then the message goes back to the queue."""
    with pytest.raises(EventsUnavailable, match="away"):
        store_patiently(failing(1), 0.0)


@pytest.mark.parametrize("message", [None, "text", {"a": float("nan")}, {"event_id": "\ud800"}, [[1]], 1e400])
def test_anything_can_be_kept(message: object) -> None:
    """As text, under an id that is the same each time; and what is sent to Elasticsearch is UTF-8."""
    kept = RejectedEvent.of(message, "event_wrong_type", "why")
    assert kept.id == RejectedEvent.of(message, "another", "reason").id
    repr(kept.to_source()).encode()
    assert all(isinstance(value, str) and value.encode() for value in kept.to_source().values())


@pytest.mark.parametrize(
    "user_id", ["u1@example.org", "A" * 32, "a" * 33, "a" * 32 + "\n", 17, ["u1"], {"id": "u1"}]
)
def test_a_user_id_that_is_no_hash_is_not_kept(user_id: object) -> None:
    """A task sent past the API may have put a raw id there."""
    source = RejectedEvent.of({"event_id": "e1", "user_id": user_id}, "user_id_malformed", "why").to_source()
    assert "user_id" not in source
    assert json.loads(source["event"]) == {"event_id": "e1"}


def test_a_hash_is_kept() -> None:
    """So that the user's rejected events can be erased too."""
    source = RejectedEvent.of({"event_id": "e1", "user_id": "a1" * 16}, "worker_lost", "why").to_source()
    assert source["user_id"] == "a1" * 16
    assert json.loads(source["event"])["user_id"] == "a1" * 16


def test_a_delivery_ends_before_its_message_is_given_out_again() -> None:
    """Patience, one more bounded request and the time limit, all below the visibility timeout."""
    settings = EventSettings.from_environ({"NITAMONO_VISIBILITY_TIMEOUT": "60"})
    request_s = settings.bounded_elasticsearch.timeout_s * (settings.elasticsearch.max_retries + 1)
    assert settings.patience_s + request_s < settings.hard_limit_s < settings.visibility_timeout_s
