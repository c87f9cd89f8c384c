"""Events with defaults: name only what a test is about."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

from events.schema import Event, parse_event

SALT = "a salt that only tests have"
NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)

_numbers = itertools.count(1)

_FIELDS: dict[str, dict[str, Any]] = {
    "impression": {
        "slate_id": "slate1",
        "query_item_id": "m1",
        "items": [{"item_id": "m2", "position": 1}, {"item_id": "m3", "position": 2}],
        "arms": ["similarity:control"],
        "encoder_id": "colour-00000001",
        "took_ms": 12.5,
        "randomised": False,
        "override": False,
        "simulated": False,
    },
    "tap": {"slate_id": "slate1", "query_item_id": "m1", "item_id": "m2", "position": 1},
    "item_view": {"item_id": "m2", "slate_id": "slate1"},
    "purchase": {"item_id": "m2", "price": 1290.0, "slate_id": "slate1"},
    "complaint": {"item_id": "m2", "slate_id": "slate1", "reason": "not as described"},
}


def make_shopping_event(kind: str = "tap", **changes: Any) -> dict[str, Any]:
    """A valid event as its sender writes it, of a minute before NOW, under an id of its own."""
    return {
        "type": kind,
        "event_id": f"event-{next(_numbers)}",
        "time": (NOW - timedelta(minutes=1)).isoformat(),
        "user_id": "u1@example.org",
        **_FIELDS[kind],
        **changes,
    }


def parsed(data: object) -> Event:
    """The event, at NOW, with the salt of tests."""
    return parse_event(data, salt=SALT, now=NOW)


def message(kind: str = "tap", **changes: Any) -> dict[str, Any]:
    """An event as it is queued."""
    return parsed(make_shopping_event(kind, **changes)).to_message()
