"""Some 200 odd rows: each field of a listing with each odd value."""

from __future__ import annotations

import math
from typing import Any, Final

from tests.factories import make_event

VALUES: Final[dict[str, Any]] = {
    "null": None,
    "true": True,
    "zero": 0,
    "minus one": -1,
    "a huge number": 10**400,
    "infinity": math.inf,
    "NaN": math.nan,
    "an empty text": "",
    "spaces": "   ",
    "a long text": "x" * 100_000,
    "half a surrogate pair": "\ud83d",
    "a NUL": "a\0b",
    "a text turned around": "\u202egpj.exe",
    "a script": "<script>alert(1)</script>",
    "a template": "{{7*7}}${7*7}#{7*7}",
    "a query": "'; DROP TABLE listings; --",
    "a path": "../../etc/passwd",
    "a formula": "=cmd|'/c calc'!A1",
    "an empty list": [],
    "a list of nulls": [None, None],
    "a long list": ["x"] * 10_000,
    "a nested list": [[["x"]]],
    "an empty object": {},
    "an object": {"__class__": "x", "$ne": 1, "a.b": {"c": 1}},
}
"""JSON values, and those that Python's parser makes of what is none."""


def odd_rows() -> dict[str, dict[str, Any]]:
    """Return an event for each field and value, and some without fields or with others, by name."""
    fields = make_event()
    rows = {
        f"{field} is {name}": {**fields, field: value} for field in fields for name, value in VALUES.items()
    }
    for number, (name, row) in enumerate(rows.items()):
        if not name.startswith("item_id"):
            row["item_id"] = f"odd-{number}"
    without = {
        f"no {field}": {name: value for name, value in fields.items() if name != field} for field in fields
    }
    return rows | without
