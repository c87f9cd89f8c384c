"""Deletion of rows from a parquet file."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from events.log_tables import replacing

ROWS_AT_ONCE: Final = 20_000


def count_rows(path: Path, values: Mapping[str, Collection[str]]) -> tuple[int, int]:
    """Return how many rows have one of the values in its column, and how many there are in all.

    values: column to the values to look for. A column that the file lacks has none of them.

    Raises:
        OSError, ValueError: the file cannot be read.
        KeyError: it has none of the columns.
    """
    with pq.ParquetFile(path) as file:
        columns = [name for name in values if name in file.schema_arrow.names]
        if not columns:
            raise KeyError(" or ".join(sorted(values)))
        found = 0
        for batch in file.iter_batches(ROWS_AT_ONCE, columns=columns):
            found += pc.sum(_are_in(batch, values)).as_py() or 0
        return found, file.metadata.num_rows


def delete_rows(path: Path, values: Mapping[str, Collection[str]]) -> int:
    """Delete the rows with one of the values in its column, and return how many there were.

    The file is replaced in one step; without rows it is deleted.

    Raises:
        OSError, ValueError: the file cannot be read. It is unchanged.
        KeyError: it has none of the columns.
    """
    found, rows = count_rows(path, values)
    if found and found == rows:
        path.unlink()
    elif found:
        _rewrite_without(path, values)
    return found


def _rewrite_without(path: Path, values: Mapping[str, Collection[str]]) -> None:
    with (
        pq.ParquetFile(path) as file,
        replacing(path) as unfinished,
        pq.ParquetWriter(unfinished, file.schema_arrow, compression="zstd") as writer,
    ):
        for batch in file.iter_batches(ROWS_AT_ONCE):
            writer.write_batch(batch.filter(pc.invert(_are_in(batch, values))))


def _are_in(batch: pa.RecordBatch, values: Mapping[str, Collection[str]]) -> Any:
    """Return for each row whether it has one of the values in its column: (n,) bool, never null."""
    found = pa.array([False] * len(batch))
    for name in values.keys() & set(batch.schema.names):
        wanted = pa.array(sorted(values[name]), pa.string())
        column = batch[name].cast(pa.string())
        found = pc.or_(found, pc.fill_null(pc.is_in(column, value_set=wanted), fill_value=False))
    return found
