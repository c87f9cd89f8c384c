"""Reads what is sound of a log, also where damage shows only once the data are read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from experiments.analysis.log.files import FaultyFile, LogFiles, read_undamaged, sort_files
from experiments.analysis.log.read import EventLog

T = TypeVar("T")


def read_valid_files(
    folder: Path, read: Callable[[EventLog], T], *, memory: str = "3GB", threads: int | None = None
) -> tuple[T, tuple[FaultyFile, ...]]:
    """What `read` makes of the log without its faulty files, and those.

    Should a file with a sound footer turn out to be damaged, `read` begins anew with a log that lacks it.

    Raises:
        UnreadableLog: no file of impressions is left.
    """

    def result(files: LogFiles) -> tuple[T, tuple[FaultyFile, ...]]:
        with EventLog(files, memory=memory, threads=threads) as log:
            return read(log), files.faulty

    return read_undamaged(sort_files(folder), result)
