"""Opens a log, cleans it for an experiment, and sums it by arm.

with open_log(folder) as log:
    clean = log.clean(experiment)
    clean.moments()["control"].total("taps")
"""

# ruff: noqa: S608  # what is put into SQL are our own words, and quoted paths

from __future__ import annotations

import tempfile
from datetime import UTC, date, datetime
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self

import duckdb

from events.log_tables import TABLES
from experiments.analysis.log.cleaning import Window, clean_tables
from experiments.analysis.log.exclusions import Rules
from experiments.analysis.log.files import FaultyFile, LogFiles, read_undamaged, sort_files
from experiments.analysis.log.sums import CleanLog
from experiments.assignment.definition import Experiment


def open_log(folder: Path, *, memory: str = "3GB", threads: int | None = None) -> EventLog:
    """The log of a folder, as `events.log_tables` describes it; a context manager.

    memory: what DuckDB may hold before it writes to a temporary folder, as "3GB". threads: by default one
    a core.

    Raises:
        UnreadableLog: not one file of impressions can be read.
    """
    return EventLog(sort_files(folder), memory=memory, threads=threads)


class EventLog:
    """The sound files of a log. The faulty ones are named in `faulty`, and none of their events counts."""

    def __init__(self, files: LogFiles, *, memory: str, threads: int | None) -> None:
        self._files = files
        self._spill = tempfile.TemporaryDirectory(prefix="nitamono-log-")
        config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": memory,
            "temp_directory": self._spill.name,
            # Sums need no order, and to keep it costs memory.
            "preserve_insertion_order": False,
            # Nothing is fetched from the network to read files.
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
        """The log of one experiment, without what must not be in its sums; see `CleanLog.exclusions`.

        until: the last day (UTC) that is read. What comes later than `now`, by default the present, is from
        the future and never read. The CleanLog can be read while this log is open. A file whose data turn
        out to be damaged joins the faulty ones.

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
        """An empty database of its own, which reads the log's tables as raw.impressions, raw.taps, …"""
        name = f"workspace_{next(self._numbers)}"
        db = self._db.cursor()
        db.execute(f"ATTACH ':memory:' AS {name}; USE {name}")
        return db

    def simulated(self) -> bool:
        """Whether any impression says that its user is made up."""
        found = self._db.execute("SELECT 1 FROM raw.impressions WHERE simulated LIMIT 1").fetchone()
        return found is not None

    def holds(self, name: str) -> bool:
        """Whether there is a file of the table `name` that can be read."""
        return bool(self._files.sound[name])

    @property
    def faulty(self) -> tuple[FaultyFile, ...]:
        """Files whose events are in no sum."""
        return self._files.faulty

    def _read_from(self, files: LogFiles) -> None:
        self._files = files
        for name, paths in files.sound.items():
            self._db.execute(f"CREATE OR REPLACE VIEW raw.{name} AS {_source(name, paths)}")

    def close(self) -> None:
        """Frees memory and the temporary folder."""
        self._db.close()
        self._spill.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _source(table: str, paths: tuple[Path, ...]) -> str:
    """The rows of all files, numbered in `row`, or none of the same columns."""
    if paths:
        files = ", ".join("'" + str(path).replace("'", "''") + "'" for path in paths)
        return (
            "SELECT *, (file_index::UBIGINT << 40) + file_row_number::UBIGINT AS row "
            f"FROM read_parquet([{files}], hive_partitioning = false, union_by_name = true)"
        )
    return f"SELECT * FROM ({_empty(table)}) WHERE false"


def _empty(table: str) -> str:
    """One row of NULLs; only the columns of tables beside the impressions are ever asked for."""
    types = {"timestamp[us, tz=UTC]": "TIMESTAMPTZ", "int16": "SMALLINT", "double": "DOUBLE"}
    columns = (f'NULL::{types.get(str(each.type), "VARCHAR")} AS "{each.name}"' for each in TABLES[table])
    return f"SELECT {', '.join(columns)}"
