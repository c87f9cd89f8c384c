"""Export of events from Elasticsearch to the parquet log: a complete file for each day and type."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from itertools import chain
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from elasticsearch import Elasticsearch

from events.log_tables import TABLES, replacing
from events.names import event_index
from mappings.scan import pages

TABLE_OF: Final[Mapping[str, str]] = {
    "impression": "impressions",
    "tap": "taps",
    "item_view": "item_views",
    "purchase": "purchases",
    "complaint": "complaints",
}
"""The folder of the log for each type of event."""

ROW_GROUP: Final = 20_000
"""Rows in memory at once. An impression of 24 items takes about 2 kB."""


def export_day(
    es: Elasticsearch, prefix: str, day: date, log: Path, progress: Callable[[int], object] = lambda _: None
) -> int:
    """Write the events of a day to the log, oldest first, and return how many there are.

    Each file is replaced in one step, so a reader of the log sees the old one or the new one.
    """
    return sum(_export_kind(es, prefix, day, kind, log, progress) for kind in TABLE_OF)


def day_folder(log: Path, table: str, day: date) -> Path:
    """Return the folder of a day's files."""
    return log / table / f"date={day.isoformat()}"


def _export_kind(
    es: Elasticsearch, prefix: str, day: date, kind: str, log: Path, progress: Callable[[int], object]
) -> int:
    table = TABLE_OF[kind]
    path = day_folder(log, table, day) / "part-0000.parquet"
    batches = pages(
        es, event_index(prefix, day), {"term": {"type": kind}}, sort=[{"time": "asc"}], missing_ok=True
    )
    first, count = next(batches, None), 0
    if first is not None:
        with replacing(path) as unfinished, _writer(unfinished, TABLES[table]) as write:
            for hits in chain([first], batches):
                write([to_row(table, hit["_source"]) for hit in hits])
                count += len(hits)
                progress(len(hits))
    for other in path.parent.glob("*.parquet"):
        if count == 0 or other != path:
            other.unlink()
    return count


def to_row(table: str, source: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event as a row of its table. Missing fields are null."""
    row = {name: source.get(name) for name in TABLES[table].names}
    row["time"] = datetime.fromisoformat(source["time"])
    if "items" in source:
        row["items"] = [_shown(item) for item in source["items"]]
    return row


@contextmanager
def _writer(path: Path, schema: pa.Schema) -> Iterator[Callable[[Sequence[Mapping[str, Any]]], None]]:
    """Yield a function that writes rows in groups."""
    held: list[pa.Table] = []
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:

        def write(rows: Sequence[Mapping[str, Any]]) -> None:
            held.append(pa.Table.from_pylist(list(rows), schema=schema))
            if sum(map(len, held)) >= ROW_GROUP:
                writer.write_table(pa.concat_tables(held))
                held.clear()

        yield write
        if held:
            writer.write_table(pa.concat_tables(held))


def _shown(item: Mapping[str, Any]) -> dict[str, Any]:
    created_at = item.get("created_at")
    return {**item, "created_at": datetime.fromisoformat(created_at) if created_at else None}
