"""Files and folders are replaced completely or not at all."""

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ml.atomic_files import NotWritten, SameFolder, check_different_folders, replaced, replaced_folder

FULL = Path("/dev/full")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """An existing file."""
    written = tmp_path / "sums.npz"
    written.write_bytes(b"old")
    return written


def test_readers_see_the_old_file_until_the_new_one_is_complete(path: Path) -> None:
    """No temporary file is left."""
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
    """The incomplete file is removed."""
    with pytest.raises(stop):
        stop_half_way(path, stop)
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


def test_a_file_left_by_a_killed_process_is_overwritten(path: Path) -> None:
    """Also if it was longer than the new file."""
    path.with_name("sums.npz.partial").write_bytes(b"half of a long file")
    with replaced(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"
    assert list(path.parent.iterdir()) == [path]


def test_concurrent_writers_do_not_interfere(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has its own temporary file; the last one to finish wins."""
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
    """Whether it fills up while writing or in the final flush."""
    path.with_name("sums.npz.partial").symlink_to(FULL)
    message = rf"^{path}: cannot be written \(No space left on device\); sweep$"
    with pytest.raises(NotWritten, match=message), replaced(path, remedy="sweep") as file:
        np.save(file, np.zeros(size, np.uint8))
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    """With the default remedy."""
    missing = tmp_path / "missing" / "sums.npz"
    message = rf"^{missing}: .*No such file.*run the same command again$"
    with pytest.raises(NotWritten, match=message), replaced(missing):
        pass


def test_a_file_instead_of_a_folder_is_named(path: Path) -> None:
    """And the clean-up does not fail."""
    with pytest.raises(NotWritten, match="Not a directory"), replaced(path / "more.npz"):
        pass
    with (
        pytest.raises(NotWritten, match=r"more: cannot be written or read \(Not a directory\)"),
        replaced_folder(path / "more", last="report", earlier=()),
    ):
        pass


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files of an earlier run, and a foreign file."""
    for name in ("part-0", "part-1", "report", "notes"):
        (tmp_path / name).write_text("old")
    return tmp_path


def test_a_folder_is_replaced_by_name(folder: Path) -> None:
    """Files of the earlier run are removed, also those without a new version; others stay."""
    with replaced_folder(folder, last="report", earlier=("part-*",)) as unfinished:
        for name in ("part-0", "report"):
            (unfinished / name).write_text("new")
        assert (folder / "part-0").read_text() == "old"
    found = {path.name: path.read_text() for path in folder.iterdir()}
    assert found == {"part-0": "new", "report": "new", "notes": "old"}


def test_a_foreign_folder_keeps_its_files(folder: Path) -> None:
    """Without the marker file, files with matching names are not ours."""
    (folder / "report").unlink()
    with replaced_folder(folder, last="report", earlier=("part-*",)) as unfinished:
        (unfinished / "report").write_text("new")
    found = {path.name: path.read_text() for path in folder.iterdir()}
    assert found == {"part-0": "old", "part-1": "old", "report": "new", "notes": "old"}


@pytest.mark.parametrize("stop", [KeyboardInterrupt, OSError])
def test_an_error_keeps_the_folder_unchanged(folder: Path, stop: type[BaseException]) -> None:
    """Whatever was written before it."""

    def write_half() -> None:
        with replaced_folder(folder, last="report", earlier=("part-*",)) as unfinished:
            (unfinished / "part-0").write_text("new")
            raise stop

    with pytest.raises((stop, NotWritten)):
        write_half()
    found = {path.name: path.read_text() for path in folder.iterdir()}
    assert found == {"part-0": "old", "part-1": "old", "report": "old", "notes": "old"}


def test_the_input_folder_is_recognised_under_any_path(tmp_path: Path) -> None:
    """The output must not replace the input."""
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(SameFolder, match="choose another --out"):
        check_different_folders(tmp_path, tmp_path / "link")
    check_different_folders(tmp_path, tmp_path / "other")


WRITER = """
import sys, time
from pathlib import Path
from ml.atomic_files import replaced_folder

with replaced_folder(Path(sys.argv[1]), last="report", earlier=()) as unfinished:
    (unfinished / "report").write_text("half")
    print("writing", flush=True)
    time.sleep(600)
"""


def test_a_folder_left_by_a_killed_process_is_removed_by_the_next_run(folder: Path) -> None:
    """That of a running process stays."""
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


def test_unlocked_temporary_folders_are_removed_after_an_hour(folder: Path) -> None:
    """As versions without locks left them; a recent one may be in use."""
    for name in (".unfinished-old", ".unfinished-fresh"):
        (folder / name).mkdir()
    make_old(folder / ".unfinished-old")
    with replaced_folder(folder, last="report", earlier=()):
        pass
    assert [path.name for path in folder.glob(".unfinished-*")] == [".unfinished-fresh"]


def test_shared_files_of_killed_processes_are_removed_after_an_hour(path: Path) -> None:
    """Those of other files stay, and so do recent ones."""
    for name in ("sums.npz.1.partial", "sums.npz.2.partial", "other.npz.1.partial"):
        path.with_name(name).touch()
        if ".2." not in name:
            make_old(path.with_name(name))
    with replaced(path, shared=True) as file:
        file.write(b"new")
    names = {found.name for found in path.parent.iterdir()}
    assert names == {"sums.npz", "sums.npz.2.partial", "other.npz.1.partial"}


def test_a_shared_file_in_progress_stays(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long writing takes."""
    with replaced(path, shared=True) as ours:
        ours.write(b"ours")
        ours.flush()
        make_old(Path(ours.name))
        with monkeypatch.context() as other:
            other.setattr(os, "getpid", lambda: 1)
            with replaced(path, shared=True):
                assert Path(ours.name).exists()
    assert path.read_bytes() == b"ours"
