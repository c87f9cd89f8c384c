"""Metrics that several processes share: nothing is lost when one ends, and nothing is left behind."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from monitoring.samples import Samples
from telemetry.shared_files import VARIABLE, collect, collect_from, delete_abandoned

PROGRAM = """
import os, sys
from pathlib import Path
from telemetry.metrics import Counter, Gauge, Histogram
from telemetry.shared_files import collect, share_metrics
from monitoring.samples import Samples

EVENTS = Counter("events_total", "Events.", ("outcome",))
SECONDS = Histogram("seconds", "Seconds.", buckets=(1.0, 5.0))
ENCODER = Gauge("encoder_info", "Encoder.", ("name",))

folder = share_metrics(Path(sys.argv[1]))

def child():
    pid = os.fork()
    if not pid:
        EVENTS.add("indexed", by=3)
        SECONDS.observe(2.0)
        ENCODER.set(1, "lite")
        os.kill(os.getpid(), 9)
    os.waitpid(pid, 0)

EVENTS.add("indexed")
seen = []
for _ in range(3):
    child()
    found = Samples.of(collect())
    seen.append((found.total("events_total"), found.total("seconds_count"), found.total("encoder_info")))
files = sorted(path.name.partition("_")[2] for path in folder.glob("counter_*"))
print(seen, [name == "ended.db" for name in files].count(True), len(files))
"""


@pytest.fixture(autouse=True)
def _apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """No folder of another test."""
    monkeypatch.delenv(VARIABLE, raising=False)


def run(program: str, folder: Path) -> str:
    """Return what a program prints, which is given the folder for temporary files."""
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_counters_of_killed_processes_stay_and_their_files_go(tmp_path: Path) -> None:
    """The first process has counted 1, each child 3 before it was killed. Gauges end with their process."""
    assert run(PROGRAM, tmp_path) == "[(4.0, 1.0, 0), (7.0, 2.0, 0), (10.0, 3.0, 0)] 1 2"


def test_the_folder_of_ended_processes_is_deleted_by_the_next(tmp_path: Path) -> None:
    """One that is in use stays: a process holds a lock on it."""
    other = tmp_path / "nitamono-other"
    other.mkdir()
    run(PROGRAM, tmp_path)
    (left,) = tmp_path.glob("nitamono-metrics-*")
    assert Samples.of(collect_from(left)).total("events_total") == 10
    descriptor = os.open(left, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        delete_abandoned(tmp_path)
        assert left.exists()
    finally:
        os.close(descriptor)
    delete_abandoned(tmp_path)
    assert list(tmp_path.iterdir()) == [other]


def test_a_process_alone_needs_no_folder() -> None:
    """Commands and tests count in memory."""
    assert isinstance(collect(), list)
