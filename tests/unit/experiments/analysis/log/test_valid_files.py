"""Valid files of a log are read, and faulty ones are named."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from experiments.analysis.log.read import EventLog, read_valid_files
from tests.unit.experiments.analysis.log.logs import make_slate, make_tap, write_log
from tests.unit.experiments.small_log import write_damaged


def taps(log: EventLog) -> int:
    """The number of taps, with their ids read."""
    return len(log.workspace().execute("SELECT event_id FROM raw.taps").fetchall())


def test_reading_starts_again_without_damaged_files(tmp_path: Path) -> None:
    """The file's footer is valid, so only reading its data shows the damage."""
    slate = make_slate("u")
    write_log(tmp_path, [slate], taps=[make_tap(slate)])
    assert read_valid_files(tmp_path, taps) == (1, ())
    damaged = write_damaged(tmp_path, "taps")
    found, (fault,) = read_valid_files(tmp_path, taps)
    assert (found, fault.path) == (1, damaged)


def test_an_error_unrelated_to_files_is_raised(tmp_path: Path) -> None:
    """The log is not read again."""
    write_log(tmp_path, [make_slate("u")])
    with pytest.raises(duckdb.CatalogException):
        read_valid_files(tmp_path, lambda log: log.workspace().execute("SELECT * FROM raw.nothing"))
