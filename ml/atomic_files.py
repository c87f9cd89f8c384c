"""Atomic writing of files and folders: readers see the old content or the complete new one."""

import fcntl
import glob
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from ml.errors import MlError

UNFINISHED: Final = ".unfinished-"
"""Prefix of temporary folders."""
LOCK: Final = "lock"
"""File in a temporary folder that its process keeps locked."""

UNLOCKED_S: Final = 3600
"""Seconds after which an unlocked temporary file or folder counts as abandoned by a killed process; a running
process locks it immediately."""


class NotWritten(MlError):
    """A file could not be written: disk full, no permission, or no such folder."""


class SameFolder(MlError):
    """The output folder is the input folder."""


@contextmanager
def replaced(
    path: Path,
    *,
    shared: bool = False,
    remedy: str = "free disk space or choose another folder, then run the same command again",
) -> Iterator[BinaryIO]:
    """Open a file to write that replaces `path` when the block ends.

    Readers see the old file or the new one, also after a power failure; an error in the block keeps the old
    one. The content is written to path.partial first; the next write overwrites one left by a killed process.

    shared: other processes may write the same path at the same time, so each has its own temporary file. One
    left by a killed process is removed by a write at least an hour later.
    remedy: end of the error message.

    Raises:
        NotWritten: the file cannot be opened, written or moved.
    """
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.partial" if shared else f"{path.name}.partial")
    try:
        if shared:
            remove_abandoned_files(path)
        with unfinished.open("wb") as file:
            if shared:
                fcntl.flock(file, fcntl.LOCK_EX)
            yield file
            flush(file)
        unfinished.replace(path)
    except OSError as error:
        raise NotWritten(f"{path}: cannot be written ({error.strerror or error}); {remedy}") from error
    finally:
        with suppress(OSError):  # it, or even its folder, does not exist
            unfinished.unlink()


def flush(file: BinaryIO) -> None:
    """Wait until the content is on the disk."""
    file.flush()
    os.fsync(file.fileno())


@contextmanager
def replaced_folder(out: Path, *, last: str, earlier: tuple[str, ...]) -> Iterator[Path]:
    """Create a temporary folder whose files move to `out` when the block ends; on errors `out` is unchanged.

    The temporary folder of a killed process, `out`/.unfinished-*, is removed by the next write to `out`.

    last: the file that marks `out` as complete; it is removed first and moved last.
    earlier: patterns of files of an earlier run to remove; without `last` such files are not ours and stay.

    Raises:
        NotWritten: an OSError, also in the block.
    """
    with writing(out):
        is_new = not out.exists()
        out.mkdir(parents=True, exist_ok=True)
        try:
            with unfinished_folder(out) as unfinished:
                yield unfinished
                if (out / last).exists():
                    (out / last).unlink()
                    for path in [path for pattern in earlier for path in out.glob(pattern)]:
                        path.unlink()
                for path in sorted(unfinished.iterdir(), key=lambda path: path.name == last):
                    path.replace(out / path.name)
        except BaseException:
            if is_new:
                shutil.rmtree(out, ignore_errors=True)
            raise


@contextmanager
def unfinished_folder(out: Path) -> Iterator[Path]:
    """Create an empty temporary folder inside `out`: on the same file system, moving a file is a rename.

    It is locked while this process runs; the system removes the lock when the process ends for any reason.
    """
    for folder in out.glob(f"{UNFINISHED}*"):
        if unlocked(folder / LOCK) if (folder / LOCK).exists() else old(folder):
            shutil.rmtree(folder, ignore_errors=True)
    with (
        tempfile.TemporaryDirectory(dir=out, prefix=UNFINISHED) as name,
        Path(name, f"{LOCK}.new").open("wb") as lock,
    ):
        fcntl.flock(lock, fcntl.LOCK_EX)
        Path(lock.name).rename(Path(name, LOCK))  # so that it never exists unlocked
        (files := Path(name, "files")).mkdir()
        yield files


def remove_abandoned_files(path: Path) -> None:
    """Remove the temporary files that killed processes left for `path`."""
    for unfinished in path.parent.glob(f"{glob.escape(path.name)}.*.partial"):
        if old(unfinished) and unlocked(unfinished):
            unfinished.unlink(missing_ok=True)


def unlocked(path: Path) -> bool:
    """Whether no process has locked the file."""
    try:
        with path.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # locked, removed meanwhile, or on a file system without locks
        return False
    return True


def old(path: Path) -> bool:
    """Whether it was last changed at least UNLOCKED_S ago."""
    try:
        return time.time() - path.stat().st_mtime > UNLOCKED_S
    except OSError:
        return False


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an OSError of the block into an error that names the file, or else `path`.

    Raises:
        NotWritten: an OSError in the block.
    """
    try:
        yield
    except OSError as error:
        raise NotWritten(
            f"{error.filename or path}: cannot be written or read ({error.strerror or error}); "
            "free disk space or fix the permissions, then rerun"
        ) from error


def check_different_folders(source: Path, out: Path) -> None:
    """Check that the output would not replace the input.

    Raises:
        SameFolder: both are the same folder.
    """
    if source.resolve() == out.resolve():
        raise SameFolder(f"{out}: is the input folder; choose another --out")
