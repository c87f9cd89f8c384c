"""Metrics of several processes: each writes to files of its own in a folder that the first of them creates.

prometheus-client leaves the files of processes that ended. They are added up here, so that counters neither
fall nor leave a file for each process that ever ran.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from telemetry.metrics import own_registry

if TYPE_CHECKING:
    from prometheus_client import Metric

VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Where prometheus-client looks for the folder. Forked processes inherit it."""

_PREFIX: Final = "nitamono-metrics-"
_FILE: Final = re.compile(r"(?P<kind>counter|histogram|gauge_livemax)_(?P<pid>\d+)\.db")
_LOCK: Final = "lock"


def share_metrics(parent: Path | None = None) -> Path:
    """Create the folder, in that for temporary files by default, and return it.

    Call it before any metric changes, in the process that forks the others. Folders whose processes have all
    ended are deleted. A lock on the folder itself, which forked processes share, tells that one is in use, to
    systemd-tmpfiles too.
    """
    parent = parent or Path(tempfile.gettempdir())
    delete_abandoned(parent)
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        descriptor = os.open(folder, os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # until the last process that has it ends
        with contextlib.suppress(FileNotFoundError):  # another process took it for an abandoned one
            (folder / _LOCK).touch()
            os.environ[VARIABLE] = str(folder)
            return folder
        os.close(descriptor)


def delete_abandoned(parent: Path) -> None:
    """Delete the folders of which no process lives."""
    for folder in parent.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # another user's, or one that another process deletes
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(descriptor)


def collect() -> list[Metric]:
    """Return the metrics of all processes that share them with this one, or of this one alone."""
    folder = os.environ.get(VARIABLE)
    if not folder or not Path(folder).is_dir():
        return list(own_registry().collect())
    return collect_from(Path(folder))


def collect_from(folder: Path) -> list[Metric]:
    """Return the metrics in a folder."""
    from prometheus_client.multiprocess import MultiProcessCollector  # noqa: PLC0415  see telemetry.metrics

    with _locked(folder):
        add_up_ended(folder)
        return list(MultiProcessCollector(None, str(folder)).collect())


def add_up_ended(folder: Path) -> None:
    """Add the files of processes that have ended to one for all of them. Nobody else may read meanwhile."""
    from prometheus_client.mmap_dict import MmapedDict  # noqa: PLC0415  see telemetry.metrics

    for path, kind in _files_of_ended(folder):
        if kind != "gauge_livemax":
            total = MmapedDict(str(folder / f"{kind}_ended.db"))
            for key, value, timestamp, _ in MmapedDict.read_all_values_from_file(str(path)):
                total.write_value(key, total.read_value(key)[0] + value, timestamp)
            total.close()
        path.unlink()


def _files_of_ended(folder: Path) -> Iterable[tuple[Path, str]]:
    for path in sorted(folder.iterdir()):
        match = _FILE.fullmatch(path.name)
        if match and not _lives(int(match["pid"])):
            yield path, match["kind"]


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with (folder / _LOCK).open("r") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
