"""Open a log, clean it for an experiment, and sum it by arm.

with open_log(folder) as log:
    clean = log.clean(experiment)
    clean.moments()["control"].total("taps")
"""

# ruff: noqa: S608  # SQL is built from constants and quoted paths

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import UTC, date, datetime
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import duckdb

from events.log_tables import TABLES
from experiments.analysis.log.cleaning import Window, clean_tables
from experiments.analysis.log.exclusions import Rules
from experiments.analysis.log.files import FaultyFile, LogFiles, read_undamaged, sort_files
from experiments.analysis.log.sums import CleanLog
from experiments.assignment.definition import Experiment

T = TypeVar("T")


def open_log(folder: Path, *, memory: str = "3GB", threads: int | None = None) -> EventLog:
    """The log of a folder, as `events.log_tables` describes it; a context manager.

    memory: what DuckDB may hold before it writes to a temporary folder, as "3GB". threads: by default one
    for each core.

    Raises:
        UnreadableLog: not one file of impressions can be read.
    """
    return EventLog(sort_files(folder), memory=memory, threads=threads)


class EventLog:
    """The valid files of a log. Faulty files are listed in `faulty`, and their events are excluded."""

    def __init__(self, files: LogFiles, *, memory: str, threads: int | None) -> None:
        self._files = files
        self._spill = tempfile.TemporaryDirectory(prefix="nitamono-log-")
        config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": memory,
            "temp_directory": self._spill.name,
            # Sums need no order, and preserving it costs memory.
            "preserve_insertion_order": False,
            # Reading files must not download anything.
            "autoinstall_known_extensions": False,
        }
        self._db = duckdb.connect(config=config | ({"threads": threads} if threads else {}))
        self._numbers = count(1)
        self._db.execute("ATTACH ':memory:' AS raw")
        self._read_from(files)

    def clean(
        self,
        experiment: Experiment,
        until: date | None = None,
        *,
        now: datetime | None = None,
        rules: Rules = Rules(),  # noqa: B008  # frozen
    ) -> CleanLog:
        """The log of one experiment without excluded events, which `CleanLog.exclusions` lists.

        until: the last day (UTC) that is read. now: the present by default; later events are excluded. The
        CleanLog can be read while this log is open. A file whose data turn out to be damaged is added to
        `faulty`.

        Raises:
            UnreadableLog: no file of impressions is left.
        """
        window = Window.of(experiment, until, now or datetime.now(UTC))

        def cleaned(files: LogFiles) -> CleanLog:
            if files != self._files:
                self._read_from(files)
            db = self.workspace()
            return CleanLog(db, experiment, window, clean_tables(db, experiment, window, rules))

        return read_undamaged(self._files, cleaned)

    def workspace(self) -> duckdb.DuckDBPyConnection:
        """A new, empty database that reads the log's tables as raw.impressions, raw.taps, …"""
        name = f"workspace_{next(self._numbers)}"
        db = self._db.cursor()
        db.execute(f"ATTACH ':memory:' AS {name}; USE {name}")
        return db

    def simulated(self) -> bool:
        """Whether any impression is marked as simulated."""
        found = self._db.execute("SELECT 1 FROM raw.impressions WHERE simulated LIMIT 1").fetchone()
        return found is not None

    def holds(self, name: str) -> bool:
        """Whether the table `name` has a valid file."""
        return bool(self._files.valid[name])

    @property
    def faulty(self) -> tuple[FaultyFile, ...]:
        """Files whose events are excluded."""
        return self._files.faulty

    def _read_from(self, files: LogFiles) -> None:
        self._files = files
        for name, paths in files.valid.items():
            self._db.execute(f"CREATE OR REPLACE VIEW raw.{name} AS {_source(name, paths)}")

    def close(self) -> None:
        """Free memory and remove the temporary folder."""
        self._db.close()
        self._spill.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_valid_files(
    folder: Path, read: Callable[[EventLog], T], *, memory: str = "3GB", threads: int | None = None
) -> tuple[T, tuple[FaultyFile, ...]]:
    """The result of `read` on the log without its faulty files, and these files.

    If a file with a valid footer turns out to be damaged, `read` starts again on a log without it.

    Raises:
        UnreadableLog: no file of impressions is left.
    """

    def result(files: LogFiles) -> tuple[T, tuple[FaultyFile, ...]]:
        with EventLog(files, memory=memory, threads=threads) as log:
            return read(log), files.faulty

    return read_undamaged(sort_files(folder), result)


def _source(table: str, paths: tuple[Path, ...]) -> str:
    """SQL for the rows of all files, numbered in `row`, or for no rows with the same columns."""
    if paths:
        files = ", ".join("'" + str(path).replace("'", "''") + "'" for path in paths)
        return (
            "SELECT *, (file_index::UBIGINT << 40) + file_row_number::UBIGINT AS row "
            f"FROM read_parquet([{files}], hive_partitioning = false, union_by_name = true)"
        )
    return f"SELECT * FROM ({_empty(table)}) WHERE false"


def _empty(table: str) -> str:
    """SQL for a row of NULLs; used for tables other than impressions."""
    types = {"timestamp[us, tz=UTC]": "TIMESTAMPTZ", "int16": "SMALLINT", "double": "DOUBLE"}
    columns = (f'NULL::{types.get(str(each.type), "VARCHAR")} AS "{each.name}"' for each in TABLES[table])
    return f"SELECT {', '.join(columns)}"
