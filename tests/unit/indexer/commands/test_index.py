"""`nitamono index` without services: interruption before anything is sent, and the report."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from indexer.commands.indexing_run import Run, print_report
from tests.unit.indexer.intake.test_csv_file import table

ENDINGS = pytest.mark.parametrize(
    ("ending", "options"), [(signal.SIGINT, ["--wait"]), (signal.SIGTERM, [])], ids=["Ctrl-C", "SIGTERM"]
)


@contextmanager
def indexing(folder: Path, environ: dict[str, str], *options: str) -> Iterator[subprocess.Popen[str]]:
    """A process that indexes a folder."""
    with subprocess.Popen(
        [sys.executable, "-c", "import cli; cli.main()", "index", str(folder), "--json", *options],
        env=os.environ | {"NITAMONO_IMAGE_ROOTS_FILE": str(folder.parent / "roots")} | environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.kill()


def wait_for(process: subprocess.Popen[str], is_true: Callable[[], object]) -> None:
    """Returns once `is_true()`, which must be before the process ends."""
    while not is_true():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


def check_interrupted(process: subprocess.Popen[str], ending: signal.Signals) -> None:
    """It ends with one sentence, a summary and status 130."""
    process.send_signal(ending)
    out, err = process.communicate(timeout=60)
    assert "Interrupted: no listing was sent. Run the same command again." in err
    assert "Traceback" not in err
    assert "Aborted" not in err
    assert process.returncode == 130
    summary = json.loads(out)
    assert (summary["interrupted"], summary["sent"], summary["total"]) == (True, 0, 0)
    assert [entry["file"] for entry in summary["skipped_files"]] == ["notes.txt"]


def position(pid: int, file: Path) -> int:
    """Return how many bytes of the file the process has read; 0 if it is not open."""
    proc = Path(f"/proc/{pid}")
    found = [entry.name for entry in (proc / "fd").iterdir() if entry.resolve() == file]
    return sum(int((proc / "fdinfo" / name).read_text().split()[1]) for name in found)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a file of listings and another one."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "a.csv").write_text(table("Red skirt"))
    (folder / "notes.txt").write_text("Not listings.")
    return folder


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="reads /proc")
@ENDINGS
def test_an_interruption_while_files_are_checked_is_reported(
    folder: Path, ending: signal.Signals, options: list[str]
) -> None:
    """The file is a sparse one that takes minutes to decode and no space."""
    file = folder / "a.csv"
    os.truncate(file, 10**11)

    with indexing(folder, {}, "--encoding", "latin-1", *options) as process:
        wait_for(process, lambda: position(process.pid, file) > 10**7)  # past the look at its header
        check_interrupted(process, ending)


@ENDINGS
def test_an_interruption_while_services_are_asked_is_reported(
    folder: Path, ending: signal.Signals, options: list[str]
) -> None:
    """This Redis accepts a connection and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.setblocking(False)
        port = silent.getsockname()[1]
        accepted: list[socket.socket] = []

        def is_asked() -> bool:
            try:
                accepted.append(silent.accept()[0])
            except BlockingIOError:
                return False
            return True

        url = f"redis://127.0.0.1:{port}/0"
        with indexing(folder, {"NITAMONO_REDIS_URL": url}, *options) as process:
            wait_for(process, is_asked)
            check_interrupted(process, ending)


@pytest.mark.parametrize("wait", [True, False])
def test_a_file_without_listings_is_reported(wait: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """Rather than a summary of nothing."""
    print_report(Run(wait), "shop/empty.csv", as_json=False)

    assert capsys.readouterr().out == "shop/empty.csv has no listings.\n"
