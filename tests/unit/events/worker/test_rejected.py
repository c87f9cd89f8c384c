"""What is stored of a rejected event."""

from __future__ import annotations

import pytest

from events.worker.rejected import RejectedEvent

HASH = "0123456789abcdef" * 2


@pytest.mark.parametrize("name", ["user_id", "user"])
def test_a_raw_user_id_is_not_stored(name: str) -> None:
    """Under its name, or under that which senders of 0.1.0 use; a hash is, so that it can be erased."""
    rejected = RejectedEvent.of({"type": "tap", name: "alice@example.com"}, "user_id_missing", "")
    assert rejected.message == {"type": "tap"}
    assert "alice" not in str(rejected.to_source())
    assert RejectedEvent.of({name: HASH}, "x", "").message == {name: HASH}
