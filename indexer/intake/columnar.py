"""Parquet, Arrow IPC and Feather files with a listing in each row."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from console.counts import count_of
from indexer.errors import UnreadableFile
from indexer.intake.columns import json_value
from indexer.intake.ipc_size import unpacked_sizes
from indexer.intake.listing_map import ListingMap
from indexer.intake.row import Checked, Row
from indexer.intake.text import ALWAYS_UNPACKED, MAX_RATIO

PARQUET: Final = frozenset({".parquet"})
IPC_FILE: Final = b"ARROW1"
AT_ONCE: Final = 500
"""Rows that become Python objects at once."""
MAX_ROW_GROUP: Final = 4 * 2**30
"""Bytes of a row group of Parquet when it is unpacked, of which the columns that are read are in memory."""


@dataclass(frozen=True)
class Columnar:
    """An open file."""

    schema: pa.Schema
    rows: int
    batches: Callable[[list[str]], Iterable[pa.RecordBatch]]
    """Columns to batches of any size with these columns."""
    legacy_times: frozenset[str] = frozenset()
    """Columns of the type INT96, which has no time zone; Impala, Hive and Spark write UTC."""


def check(path: Path, rules: ListingMap) -> Checked:
    """Return the number of rows of a file of listings.

    Raises:
        UnreadableFile: a required column is missing, a column is repeated, or the file cannot have so many
            listings.
    """
    with path.open("rb") as file:
        table = opened(file, path.suffix.lower())
        if problem := rules.column_problem(table.schema.names):
            raise UnreadableFile(problem)
        if table.rows > path.stat().st_size:
            found = f"{count_of(table.rows, 'row')} in {count_of(path.stat().st_size, 'byte')}"
            raise UnreadableFile(f"found {found}: its rows are repeated, so they are no listings")
        return Checked(table.rows)


def rows(path: Path, rules: ListingMap) -> Iterator[Row]:
    """Yield the rows of a file. Columns that `rules` does not need are not read."""
    with path.open("rb") as file:
        table = opened(file, path.suffix.lower())
        columns = [name for name in table.schema.names if rules.reads(name)]
        number = 0
        for batch in table.batches(columns):
            for start in range(0, batch.num_rows, AT_ONCE):
                part = with_readable_times(batch.slice(start, AT_ONCE), table.legacy_times)
                yield from rows_of(part, number)
                number += part.num_rows


def opened(file: Any, suffix: str) -> Columnar:
    """Open a file for reading."""
    return parquet(file) if suffix in PARQUET else arrow(file)


def parquet(file: Any) -> Columnar:
    """Open a Parquet file. INT96 times are read as microseconds like all others: nanoseconds end in 2262.

    Raises:
        UnreadableFile: a part of it is too large to unpack.
    """
    opened = pq.ParquetFile(file, coerce_int96_timestamp_unit="us")
    groups = map(opened.metadata.row_group, range(opened.metadata.num_row_groups))
    if any(group.total_byte_size > MAX_ROW_GROUP for group in groups):
        limit = MAX_ROW_GROUP // 2**30
        raise UnreadableFile(f"a row group has more than {limit} GiB: write it with smaller row groups")
    physical = map(opened.schema.column, range(len(opened.schema)))
    legacy = frozenset(column.name for column in physical if column.physical_type == "INT96")

    def batches(columns: list[str]) -> Iterable[pa.RecordBatch]:
        return opened.iter_batches(batch_size=AT_ONCE, columns=columns)  # type: ignore[no-any-return]

    return Columnar(opened.schema_arrow, opened.metadata.num_rows, batches, legacy)


def arrow(file: Any) -> Columnar:
    """Open an Arrow IPC file (Feather), or a stream of Arrow batches.

    Raises:
        UnreadableFile: a part of it is too large to unpack, or a part is missing.
    """

    def batches(columns: list[str]) -> Iterator[pa.RecordBatch]:
        return (batch.select(columns) for batch in ipc_stream(file))

    check_unpacked(file)
    found = ipc_stream(file)
    schema, counts = found.schema, [batch.num_rows for batch in found]
    if starts_as_file(file) and len(counts) != (expected := pa.ipc.open_file(file).num_record_batches):
        raise UnreadableFile(f"found {len(counts)} batches, expected {expected}: it is damaged")
    return Columnar(schema, sum(counts), batches)


def check_unpacked(file: Any) -> None:
    """Check that each part of an Arrow file can be unpacked.

    Raises:
        UnreadableFile: one claims to be far larger than the file.
    """
    limit = min(MAX_ROW_GROUP, max(ALWAYS_UNPACKED, MAX_RATIO * file.seek(0, io.SEEK_END)))
    file.seek(start_of(file))
    if any(size > limit for size in unpacked_sizes(file)):
        raise UnreadableFile(f"a batch unpacks to more than {limit // 2**20:,} MiB: write it as Parquet")


def ipc_stream(file: Any) -> pa.RecordBatchStreamReader:
    """Return the batches from the beginning. A file is a stream with an index at its end, which may point to
    other messages than those that were checked, and is not used."""
    file.seek(start_of(file))
    return pa.ipc.open_stream(file)


def start_of(file: Any) -> int:
    """Return the position of the first message."""
    return 8 if starts_as_file(file) else 0


def starts_as_file(file: Any) -> bool:
    """Return whether it is an Arrow file rather than a stream, at its beginning."""
    file.seek(0)
    start: bytes = file.read(len(IPC_FILE))
    file.seek(0)
    return start == IPC_FILE


def with_readable_times(batch: pa.RecordBatch, legacy: frozenset[str]) -> pa.RecordBatch:
    """Return the batch with times in microseconds, the precision of Python and of the order of events."""
    for position, column in enumerate(batch.schema):
        if pa.types.is_timestamp(column.type):
            unit = "us" if column.type.unit == "ns" else column.type.unit
            kind = pa.timestamp(unit, tz="UTC" if column.type.tz or column.name in legacy else None)
            batch = batch.set_column(position, column.name, batch.column(position).cast(kind, safe=False))
    return batch


def rows_of(batch: pa.RecordBatch, number: int) -> list[Row]:
    """Return the rows of a batch, which follows `number` other rows. Only rows that cannot be read are
    rejected."""
    try:
        return [
            Row(from_record(record, batch.schema), location=f"row {number + nth}")
            for nth, record in enumerate(batch.to_pylist(), 1)
        ]
    except (ValueError, OverflowError) as error:  # text that is not UTF-8, a date after the year 9999
        if batch.num_rows == 1:
            detail = f"{type(error).__name__}: {error}"
            return [Row(None, readable(batch), "row_unreadable", detail, f"row {number + 1}")]
    half = batch.num_rows // 2
    return rows_of(batch.slice(0, half), number) + rows_of(batch.slice(half), number + half)


def from_record(record: Mapping[str, Any], schema: pa.Schema) -> dict[str, Any]:
    """Return the values of a row as JSON. Arrow returns maps as lists of pairs."""
    maps = {column.name for column in schema if pa.types.is_map(column.type)}
    return {
        name: json_value(dict(value) if name in maps and value is not None else value)
        for name, value in record.items()
    }


def readable(batch: pa.RecordBatch) -> str:
    """Return the columns of a batch as text."""
    columns = (f"{name}: {_shown(column)}" for name, column in zip(batch.schema.names, batch, strict=True))
    return "; ".join(columns)


def _shown(column: pa.Array) -> str:
    try:
        return str(column.to_pylist()[0])
    except (ValueError, OverflowError):
        return f"({column.type} that cannot be read)"
