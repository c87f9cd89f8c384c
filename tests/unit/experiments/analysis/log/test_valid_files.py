"""What is sound of a log is read, and what is not is named."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from experiments.analysis.log.read import EventLog
from experiments.analysis.log.valid_files import read_valid_files
from tests.unit.experiments.analysis.log.logs import make_slate, make_tap, write_log
from tests.unit.experiments.small_log import write_damaged


def taps(log: EventLog) -> int:
    """How many there are, their ids having been read."""
    return len(log.workspace().execute("SELECT event_id FROM raw.taps").fetchall())


def test_reading_begins_anew_without_what_is_damaged(tmp_path: Path) -> None:
    """The file's footer is sound, so only its data tell."""
    slate = make_slate("u")
    write_log(tmp_path, [slate], taps=[make_tap(slate)])
    assert read_valid_files(tmp_path, taps) == (1, ())
    damaged = write_damaged(tmp_path, "taps")
    found, (fault,) = read_valid_files(tmp_path, taps)
    assert (found, fault.path) == (1, damaged)


def test_a_fault_that_is_not_the_files_is_told(tmp_path: Path) -> None:
    """Rather than the log read again and again."""
    write_log(tmp_path, [make_slate("u")])
    with pytest.raises(duckdb.CatalogException):
        read_valid_files(tmp_path, lambda log: log.workspace().execute("SELECT * FROM raw.nothing"))
