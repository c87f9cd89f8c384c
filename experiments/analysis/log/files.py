"""Which Parquet files of a log can be read; the others are named and excluded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from events.log_tables import TABLES, leftovers
from experiments.errors import UnreadableLog

T = TypeVar("T")


@dataclass(frozen=True)
class FaultyFile:
    """A file whose events are excluded."""

    path: Path
    reason: str


@dataclass(frozen=True)
class LogFiles:
    """The files in the folder of a log."""

    folder: Path
    valid: dict[str, tuple[Path, ...]]
    """Name of a table to its files; () where there are none."""
    faulty: tuple[FaultyFile, ...]


def sort_files(folder: Path) -> LogFiles:
    """The files of all tables, each with its footer read and its columns compared with `TABLES`.

    Raises:
        UnreadableLog: not one file of impressions can be read.
    """
    found = {name: tuple(sorted((folder / name).rglob("*.parquet"))) for name in TABLES}
    unfinished = "is unfinished; remove it if nothing is writing it"
    faulty = tuple(FaultyFile(path, unfinished) for path in leftovers(folder))
    return _without(LogFiles(folder, found, faulty), fault)


def without_damaged(files: LogFiles) -> LogFiles:
    """The files without those whose footer is valid but whose data cannot be read. Slow: reads all data.

    Raises:
        UnreadableLog: no file of impressions is left.
    """
    return _without(files, lambda path, _: damage(path))


def read_undamaged(files: LogFiles, read: Callable[[LogFiles], T]) -> T:
    """The result of `read` on the files or, if that fails, on those without damaged data.

    Raises:
        UnreadableLog: no file of impressions is left.
    """
    try:
        return read(files)
    except duckdb.Error:
        valid = without_damaged(files)
        if valid == files:
            raise
    return read(valid)


def fault(path: Path, table: str) -> str | None:
    """The fault that a file's footer shows, or None."""
    try:
        schema = pq.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        return f"cannot be read as parquet ({error})"
    expected = {column.name: _shape(column.type) for column in TABLES[table]}
    found = {column.name: _shape(column.type) for column in schema}
    if found == expected:
        return None
    missing = sorted(expected.keys() - found.keys())
    unknown = sorted(found.keys() - expected.keys())
    other = [
        f"{name} is {found[name]}, not {expected[name]}"
        for name in sorted(expected.keys() & found.keys())
        if found[name] != expected[name]
    ]
    parts = [f"lacks {', '.join(missing)}"] if missing else []
    parts += [f"has the unknown {', '.join(unknown)}"] if unknown else []
    return f"has other columns than {table}: {'; '.join(parts + other)}"


def damage(path: Path) -> str | None:
    """The fault that reading all data of a file shows, or None."""
    try:
        for _ in pq.ParquetFile(path).iter_batches():
            pass
    except (pa.ArrowException, OSError) as error:
        return f"cannot be read as parquet ({error})"
    return None


def _without(files: LogFiles, fault_of: Callable[[Path, str], str | None]) -> LogFiles:
    """The files without those that have a fault; there must be impressions left."""
    faults = {
        path: reason
        for name, paths in files.valid.items()
        for path in paths
        if (reason := fault_of(path, name)) is not None
    }
    valid = {name: tuple(path for path in paths if path not in faults) for name, paths in files.valid.items()}
    faulty = files.faulty + tuple(FaultyFile(path, reason) for path, reason in faults.items())
    if not valid["impressions"]:
        named = "".join(f"; {each.path}: {each.reason}" for each in faulty[:3])
        raise UnreadableLog(
            f"{files.folder}: no impressions can be read{named}; expected parquet files below "
            f"{files.folder / 'impressions'}, as `nitamono events export` writes them"
        )
    return LogFiles(files.folder, valid, faulty)


def _shape(kind: pa.DataType) -> str:
    """A type without details that reading ignores: names of list members, width of offsets."""
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return f"list of {_shape(kind.value_type)}"
    if pa.types.is_struct(kind):
        fields = sorted(f"{each.name}: {_shape(each.type)}" for each in kind)
        return f"struct of {', '.join(fields)}"
    if pa.types.is_dictionary(kind):
        return _shape(kind.value_type)
    return "string" if pa.types.is_large_string(kind) else str(kind)
