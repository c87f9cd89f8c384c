"""Parquet files with a listing in each row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from indexer.errors import UnreadableFile
from indexer.intake.columns import column_problem, event_of, field_of, is_known
from indexer.intake.row import Row
from mappings.listing import isoformat


def open_parquet(file: BinaryIO) -> pq.ParquetFile:
    """Open the file. INT96 times are read as microseconds like all others, since nanoseconds end in 2262."""
    return pq.ParquetFile(file, coerce_int96_timestamp_unit="us")


def fields_in(parquet: pq.ParquetFile) -> list[str]:
    """Return the fields of its columns."""
    return [field_of(name) for name in parquet.schema_arrow.names]


def checked_rows(file: BinaryIO) -> int:
    """Return the number of rows of a file of listings.

    Raises:
        UnreadableFile: a required column is missing, or a column is repeated.
    """
    parquet = open_parquet(file)
    if problem := column_problem(fields_in(parquet)):
        raise UnreadableFile(problem)
    return int(parquet.metadata.num_rows)


def read_parquet(file: BinaryIO) -> Iterator[Row]:
    """Yield an event for each row. Lists and maps are read as such, text columns as in CSV. Other columns
    than those of a listing are not read."""
    parquet = open_parquet(file)
    columns = [name for name in parquet.schema_arrow.names if is_known(field_of(name))]
    legacy_times = {
        column.name
        for column in map(parquet.schema.column, range(len(parquet.schema)))
        if column.physical_type == "INT96"
    }
    number = 0
    for batch in parquet.iter_batches(batch_size=500, columns=columns):
        yield from rows_of(with_readable_times(batch, legacy_times), number)
        number += batch.num_rows


def with_readable_times(batch: pa.RecordBatch, legacy: set[str]) -> pa.RecordBatch:
    """Return the batch with times in microseconds, the precision of Python and of the order of events.

    `legacy` has the names of INT96 columns. That type has no time zone; Impala, Hive and Spark write UTC.
    """
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
            Row(from_record(with_maps(record, batch.schema)), location=f"row {number + nth}")
            for nth, record in enumerate(batch.to_pylist(), 1)
        ]
    except (ValueError, OverflowError) as error:  # text that is not UTF-8, a date after the year 9999
        if batch.num_rows == 1:
            detail = f"{type(error).__name__}: {error}"
            return [Row(None, readable(batch), "row_unreadable", detail, f"row {number + 1}")]
    half = batch.num_rows // 2
    return rows_of(batch.slice(0, half), number) + rows_of(batch.slice(half), number + half)


def with_maps(record: Mapping[str, Any], schema: pa.Schema) -> dict[str, Any]:
    """Return the record with maps as dictionaries; Arrow returns them as lists of pairs."""
    maps = {column.name for column in schema if pa.types.is_map(column.type)}
    return {
        name: dict(value) if name in maps and value is not None else value for name, value in record.items()
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


def from_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the event in a row. A null is absent, also in a list of photos."""
    fields = {field_of(name): json_value(value) for name, value in record.items()}
    if isinstance(fields.get("images"), list):
        fields["images"] = [image for image in fields["images"] if image is not None]
    return event_of(fields)


def json_value(value: Any) -> Any:  # noqa: PLR0911  one case for each type
    """Return the value as JSON. Bytes are UTF-8 text, which Hive, Impala and old Spark do not mark as such.

    Raises:
        UnicodeDecodeError: the bytes are not UTF-8.
    """
    match value:
        case None | str() | bool() | int() | float():
            return value
        case datetime() if value.tzinfo:
            return isoformat(value)
        case date() | time():
            return value.isoformat()
        case Decimal():
            return float(value)
        case bytes():
            return value.decode()
        case dict():
            return {str(name): json_value(inner) for name, inner in value.items() if inner is not None}
        case list():
            return [json_value(inner) for inner in value]
        case _:
            return str(value)
