"""A log so small that its sums can be worked out by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from events.log_tables import TABLES, write_part


def day(number: int) -> datetime:
    return datetime(2026, 10, 1, 12, tzinfo=UTC) + timedelta(days=number)


def write_log(folder: Path) -> Path:
    """Eight days: on the first four u1 and u2 are shown slates, on the last four u1, u2, u3 and a bot.

    In the last four: u1 two slates, both tapped, one purchase from a tap and one of another item; u2 one
    slate; u3 one slate, tapped.
    """
    slates = [
        (0, "u1"),
        (1, "u1"),
        (2, "u2"),
        (4, "u1"),
        (5, "u1"),
        (6, "u2"),
        (7, "u3"),
        *[(7, "bot")] * 1001,
    ]
    taps = [(0, "u1", 0), (4, "u1", 3), (5, "u1", 4), (7, "u3", 6)]
    rows: dict[str, list[dict[str, Any]]] = {
        "impressions": [
            {
                "event_id": f"i{n}",
                "time": day(on),
                "user_id": user,
                "slate_id": f"s{n}",
                "items": [{"item_id": "a", "position": 1}],
            }
            for n, (on, user) in enumerate(slates)
        ],
        "taps": [
            {
                "event_id": f"t{n}",
                "time": day(on),
                "user_id": user,
                "slate_id": f"s{slate}",
                "item_id": "a",
                "position": 1,
            }
            for n, (on, user, slate) in enumerate(taps)
        ],
        "purchases": [
            {"event_id": "p0", "time": day(4), "user_id": "u1", "slate_id": "s3", "item_id": "a"},
            {"event_id": "p1", "time": day(5), "user_id": "u1", "slate_id": "s3", "item_id": "b"},
        ],
    }
    for name, events in rows.items():
        write_part(pa.Table.from_pylist([*events, events[0]], TABLES[name]), folder, name, "all")
    return folder


def write_damaged(folder: Path, name: str) -> Path:
    """A file of 20,000 events with a sound footer and damaged data."""
    rows = {each.name: pa.nulls(20_000, each.type) for each in TABLES[name]}
    ids = pa.array([f"{number:x}" for number in range(20_000)])
    path = write_part(pa.table(rows | {"event_id": ids}, TABLES[name]), folder, name, "damaged")
    data = bytearray(path.read_bytes())
    data[100:2000] = bytes(1900)
    path.write_bytes(data)
    return path
