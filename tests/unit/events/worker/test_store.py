"""Rejected messages as they are stored, and the time limits of a delivery."""

from __future__ import annotations

import json

import pytest

from events.worker.rejected import RejectedEvent
from events.worker.settings import EventSettings


@pytest.mark.parametrize("message", [None, "text", {"a": float("nan")}, {"event_id": "\ud800"}, [[1]], 1e400])
def test_any_message_can_be_stored(message: object) -> None:
    """As text with a stable id, and as valid UTF-8."""
    kept = RejectedEvent.of(message, "event_wrong_type", "why")
    assert kept.id == RejectedEvent.of(message, "another", "reason").id
    repr(kept.to_source()).encode()
    assert all(isinstance(value, str) and value.encode() for value in kept.to_source().values())


@pytest.mark.parametrize(
    "user_id", ["u1@example.org", "A" * 32, "a" * 33, "a" * 32 + "\n", 17, ["u1"], {"id": "u1"}]
)
def test_a_user_id_that_is_no_hash_is_not_stored(user_id: object) -> None:
    """A task that bypasses the API may contain a raw id."""
    source = RejectedEvent.of({"event_id": "e1", "user_id": user_id}, "user_id_malformed", "why").to_source()
    assert "user_id" not in source
    assert json.loads(source["event"]) == {"event_id": "e1"}


def test_a_hash_is_stored() -> None:
    """So that the user's rejected events can be erased, too."""
    source = RejectedEvent.of({"event_id": "e1", "user_id": "a1" * 16}, "worker_lost", "why").to_source()
    assert source["user_id"] == "a1" * 16
    assert json.loads(source["event"])["user_id"] == "a1" * 16


def test_a_delivery_ends_before_the_visibility_timeout() -> None:
    """Patience, one more bounded request and the hard limit together."""
    settings = EventSettings.from_environ({"NITAMONO_VISIBILITY_TIMEOUT_S": "60"})
    request_s = settings.bounded_elasticsearch.timeout_s * (settings.elasticsearch.max_retries + 1)
    assert settings.patience_s + request_s < settings.hard_limit_s < settings.visibility_timeout_s
