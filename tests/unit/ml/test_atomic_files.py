"""Files that are replaced whole, or not at all."""

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ml.atomic_files import NotWritten, SameFolder, refuse_same, replaced, replaced_folder

FULL = Path("/dev/full")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that was written before."""
    written = tmp_path / "sums.npz"
    written.write_bytes(b"old")
    return written


def test_readers_find_the_old_file_until_the_new_one_is_whole(path: Path) -> None:
    """Nothing but the file itself is left."""
    with replaced(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert list(path.parent.iterdir()) == [path]


def stop_half_way(path: Path, stop: type[BaseException]) -> None:
    with replaced(path) as file:
        file.write(b"half")
        raise stop


@pytest.mark.parametrize("stop", [KeyboardInterrupt, RuntimeError])
def test_an_error_in_the_block_is_passed_on_and_keeps_the_old_file(
    path: Path, stop: type[BaseException]
) -> None:
    """Half a file is thrown away."""
    with pytest.raises(stop):
        stop_half_way(path, stop)
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


def test_what_a_killed_process_left_is_written_over(path: Path) -> None:
    """It was longer than the new file."""
    path.with_name("sums.npz.partial").write_bytes(b"half of a long file")
    with replaced(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"
    assert list(path.parent.iterdir()) == [path]


def test_two_that_write_at_the_same_time_do_not_meet(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has an unfinished file of its own; the last to end stays."""
    with replaced(path, shared=True) as ours:
        ours.write(b"ours")
        with monkeypatch.context() as other:
            other.setattr(os, "getpid", lambda: 1)
            with replaced(path, shared=True) as theirs:
                theirs.write(b"theirs")
        assert path.read_bytes() == b"theirs"
    assert path.read_bytes() == b"ours"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full to fill a disk with")
@pytest.mark.parametrize("size", [1, io.DEFAULT_BUFFER_SIZE * 20])
def test_a_full_disk_keeps_the_old_file(path: Path, size: int) -> None:
    """Whether it is full in the middle of writing or when the last buffer is emptied."""
    path.with_name("sums.npz.partial").symlink_to(FULL)
    message = rf"^{path}: cannot be written \(No space left on device\); sweep$"
    with pytest.raises(NotWritten, match=message), replaced(path, remedy="sweep") as file:
        np.save(file, np.zeros(size, np.uint8))
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    """With the remedy that serves any command."""
    missing = tmp_path / "missing" / "sums.npz"
    message = rf"^{missing}: .*No such file.*run the same command again$"
    with pytest.raises(NotWritten, match=message), replaced(missing):
        pass


def test_a_plain_file_in_the_place_of_a_folder_is_named(path: Path) -> None:
    """Nor does tidying up fail on it."""
    with pytest.raises(NotWritten, match="Not a directory"), replaced(path / "more.npz"):
        pass
    with (
        pytest.raises(NotWritten, match=r"more: cannot be written or read \(Not a directory\)"),
        replaced_folder(path / "more", last="report", earlier=()),
    ):
        pass


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What an earlier run wrote, and a file of somebody else."""
    for name in ("part-0", "part-1", "report", "notes"):
        (tmp_path / name).write_text("old")
    return tmp_path


def test_a_folder_is_replaced_by_name(folder: Path) -> None:
    """Files of the earlier run go, also those that the new one lacks; others stay."""
    with replaced_folder(folder, last="report", earlier=("part-*",)) as unfinished:
        for name in ("part-0", "report"):
            (unfinished / name).write_text("new")
        assert (folder / "part-0").read_text() == "old"
    found = {path.name: path.read_text() for path in folder.iterdir()}
    assert found == {"part-0": "new", "report": "new", "notes": "old"}


def test_a_folder_of_something_else_keeps_its_files(folder: Path) -> None:
    """Without the file that says what it is, names that look like an earlier run's are somebody else's."""
    (folder / "report").unlink()
    with replaced_folder(folder, last="report", earlier=("part-*",)) as unfinished:
        (unfinished / "report").write_text("new")
    found = {path.name: path.read_text() for path in folder.iterdir()}
    assert found == {"part-0": "old", "part-1": "old", "report": "new", "notes": "old"}


@pytest.mark.parametrize("stop", [KeyboardInterrupt, OSError])
def test_a_folder_stays_as_it_was_after_an_error(folder: Path, stop: type[BaseException]) -> None:
    """Whatever was written by then."""

    def write_half() -> None:
        with replaced_folder(folder, last="report", earlier=("part-*",)) as unfinished:
            (unfinished / "part-0").write_text("new")
            raise stop

    with pytest.raises((stop, NotWritten)):
        write_half()
    found = {path.name: path.read_text() for path in folder.iterdir()}
    assert found == {"part-0": "old", "part-1": "old", "report": "old", "notes": "old"}


def test_a_folder_is_recognised_however_it_is_spelled(tmp_path: Path) -> None:
    """A result must not take the place of its source."""
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(SameFolder, match="name another --out"):
        refuse_same(tmp_path, tmp_path / "link")
    refuse_same(tmp_path, tmp_path / "other")


WRITER = """
import sys, time
from pathlib import Path
from ml.atomic_files import replaced_folder

with replaced_folder(Path(sys.argv[1]), last="report", earlier=()) as unfinished:
    (unfinished / "report").write_text("half")
    print("writing", flush=True)
    time.sleep(600)
"""


def test_what_a_killed_process_left_goes_at_the_next_run(folder: Path) -> None:
    """What one that is alive writes stays."""
    alive, killed = (
        subprocess.Popen([sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE)
        for _ in range(2)
    )
    for process in (alive, killed):
        assert process.stdout is not None
        assert process.stdout.readline() == b"writing\n"
    killed.kill()
    killed.communicate()
    assert len(list(folder.glob(".unfinished-*"))) == 2
    with replaced_folder(folder, last="report", earlier=()) as unfinished:
        (unfinished / "report").write_text("new")
        assert len(list(folder.glob(".unfinished-*"))) == 2
    assert (folder / "report").read_text() == "new"
    (left,) = folder.glob(".unfinished-*/files/report")
    assert left.read_text() == "half"
    alive.send_signal(signal.SIGINT)
    alive.communicate()
    assert not list(folder.glob(".unfinished-*"))


def make_old(path: Path) -> None:
    os.utime(path, (time.time() - 7200, time.time() - 7200))


def test_unfinished_folders_without_a_lock_go_after_an_hour(folder: Path) -> None:
    """As releases without locks left them; a fresh one may belong to somebody."""
    for name in (".unfinished-old", ".unfinished-fresh"):
        (folder / name).mkdir()
    make_old(folder / ".unfinished-old")
    with replaced_folder(folder, last="report", earlier=()):
        pass
    assert [path.name for path in folder.glob(".unfinished-*")] == [".unfinished-fresh"]


def test_shared_files_of_killed_processes_go_after_an_hour(path: Path) -> None:
    """Those of other files stay, and those that are young."""
    for name in ("sums.npz.1.partial", "sums.npz.2.partial", "other.npz.1.partial"):
        path.with_name(name).touch()
        if ".2." not in name:
            make_old(path.with_name(name))
    with replaced(path, shared=True) as file:
        file.write(b"new")
    names = {found.name for found in path.parent.iterdir()}
    assert names == {"sums.npz", "sums.npz.2.partial", "other.npz.1.partial"}


def test_a_shared_file_that_is_being_written_stays(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it takes."""
    with replaced(path, shared=True) as ours:
        ours.write(b"ours")
        ours.flush()
        make_old(Path(ours.name))
        with monkeypatch.context() as other:
            other.setattr(os, "getpid", lambda: 1)
            with replaced(path, shared=True):
                assert Path(ours.name).exists()
    assert path.read_bytes() == b"ours"
