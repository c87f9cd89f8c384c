"""The event log as parquet: one folder a kind of event, with any number of files below.

    LOG/impressions/date=2026-11-02/part-0000.parquet
    LOG/taps/…  LOG/item_views/…  LOG/purchases/…  LOG/complaints/…

Times are UTC. `user_id` is the salted hash. `arms` are `experiment:arm`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

INSTANT: Final = pa.timestamp("us", tz="UTC")

SHOWN_ITEM: Final = pa.struct(
    [
        ("item_id", pa.string()),
        ("position", pa.int16()),  # from 1
        ("seller_id", pa.string()),  # null if the item was not indexed when the event came
        ("price", pa.float64()),
        ("created_at", INSTANT),
    ]
)

EVENT: Final = [("event_id", pa.string()), ("time", INSTANT), ("user_id", pa.string())]
FROM_SLATE: Final = [
    ("slate_id", pa.string()),
    ("item_id", pa.string()),
]  # slate_id: null if no tap led there

TABLES: Final = {
    "impressions": pa.schema(
        [
            *EVENT,
            ("slate_id", pa.string()),
            ("query_item_id", pa.string()),
            ("query_category", pa.list_(pa.string())),
            ("query_price", pa.float64()),
            ("arms", pa.list_(pa.string())),
            ("encoder_id", pa.string()),
            ("took_ms", pa.float64()),
            ("randomised", pa.bool_()),  # the order was shuffled
            ("override", pa.bool_()),  # a tester chose the arm
            ("simulated", pa.bool_()),  # the user is simulated
            ("items", pa.list_(SHOWN_ITEM)),  # in the order shown; none: an empty answer
        ]
    ),
    "taps": pa.schema([*EVENT, *FROM_SLATE, ("query_item_id", pa.string()), ("position", pa.int16())]),
    "item_views": pa.schema([*EVENT, *FROM_SLATE]),
    "purchases": pa.schema([*EVENT, *FROM_SLATE, ("seller_id", pa.string()), ("price", pa.float64())]),
    "complaints": pa.schema([*EVENT, *FROM_SLATE, ("reason", pa.string())]),
}
"""The columns of the files in each folder."""

SIMULATED: Final = "SIMULATED.json"
"""A file in the folder of a log whose users are simulated."""


UNFINISHED: Final = ".unfinished"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield where to write a file that replaces `path` once it is complete; an error changes nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}{UNFINISHED}")
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def leftovers(log: Path) -> Iterator[Path]:
    """Yield the unfinished parquet files, which a process left behind or still writes."""
    for name in TABLES:
        yield from sorted((log / name).rglob(f".*.parquet{UNFINISHED}"))


def write_part(table: pa.Table, log: Path, name: str, part: str) -> Path:
    """Write LOG/name/part.parquet, completely or not at all, and return its path.

    table: columns of TABLES[name]; missing ones are null. part: a file name without its ending, with folders
    if wanted.
    """
    path = log / name / f"{part}.parquet"
    with replacing(path) as unfinished:
        pq.write_table(to_log_table(name, table), unfinished, compression="zstd")
    return path


def to_log_table(name: str, table: pa.Table) -> pa.Table:
    """Return the table with the columns of TABLES[name]; missing ones are null, others are left out."""
    schema, given = TABLES[name], set(table.column_names)
    columns = {
        column.name: table[column.name] if column.name in given else pa.nulls(len(table), column.type)
        for column in schema
    }
    return pa.table(columns).cast(schema)
