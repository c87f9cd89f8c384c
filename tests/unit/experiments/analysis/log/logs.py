"""Small logs made by hand: events with defaults, written as the parquet that an export writes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa

from events.log_tables import TABLES, write_part
from experiments.assignment.definition import Arm, Experiment

Event = dict[str, Any]
START = datetime(2026, 11, 2, tzinfo=UTC)
NUMBERS = count(1)


def at(day: float = 0.5, **later: float) -> datetime:
    """A moment some days after the start of the experiment; before it if negative."""
    return START + timedelta(days=day, **later)


def make_experiment(**changes: Any) -> Experiment:
    fields: dict[str, Any] = {
        "name": "exp",
        "hypothesis": "The new encoder is tapped more often.",
        "arms": (Arm(name="control"), Arm(name="treatment")),
        "start": START.date(),
        "planned_weeks": 2,
        "minimum_detectable_effect": 0.05,
    }
    return Experiment(**fields | changes)


def make_slate(user: str, arm: str | None = "control", **changes: Any) -> Event:
    """An impression of the items a, b and c."""
    number = next(NUMBERS)
    fields: Event = {
        "event_id": f"e{number}",
        "time": at(),
        "user_id": user,
        "slate_id": f"s{number}",
        "query_item_id": "q",
        "query_category": ["Apparel", "Skirts"],
        "query_price": 1000.0,
        "arms": [f"exp:{arm}"] if arm else [],
        "encoder_id": "enc",
        "took_ms": None,
        "randomised": False,
        "override": False,
        "simulated": False,
        "items": make_items("abc"),
    }
    return fields | changes


def make_items(names: str, **changes: Any) -> list[Event]:
    """Items of the seller s1, listed ten days before the start, in this order."""
    fields: Event = {"seller_id": "s1", "price": 900.0, "created_at": at(-10)}
    return [
        {"item_id": name, "position": position} | fields | changes for position, name in enumerate(names, 1)
    ]


def make_tap(slate: Event, item: str = "a", **changes: Any) -> Event:
    """A tap a second after the slate, at the position where it showed the item."""
    positions = {each["item_id"]: each["position"] for each in slate["items"]}
    fields = {"query_item_id": "q", "position": positions.get(item, 1)}
    return make_event(slate["user_id"], slate=slate, item_id=item) | fields | changes


def make_event(user: str, slate: Event | None = None, **changes: Any) -> Event:
    """An item view, purchase (with price=…) or complaint of item a."""
    fields: Event = {
        "event_id": f"e{next(NUMBERS)}",
        "time": slate["time"] + timedelta(seconds=1) if slate else at(0.6),
        "user_id": user,
        "slate_id": slate["slate_id"] if slate else None,
        "item_id": "a",
    }
    return fields | changes


def write_log(folder: Path, impressions: list[Event], **others: list[Event]) -> Path:
    """The log of these events; others: taps, item_views, purchases, complaints."""
    for name, events in ({"impressions": impressions} | others).items():
        table = pa.Table.from_pylist(
            [dict.fromkeys(TABLES[name].names) | event for event in events], schema=TABLES[name]
        )
        write_part(table, folder, name, "date=2026-11-02/part-0000")
    return folder
