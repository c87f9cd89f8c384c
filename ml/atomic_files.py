"""Files that are whole or not there."""

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
LOCK: Final = "lock"

UNLOCKED_S: Final = 3600
"""Seconds after which something unfinished without a lock counts as left by a killed process: one that is
alive takes its lock at once."""


class NotWritten(MlError):
    """A file that could not be written: no room on its disk, no permission, no such folder."""


class SameFolder(MlError):
    """A result that would take the place of what it is made of."""


@contextmanager
def replaced(
    path: Path,
    *,
    shared: bool = False,
    remedy: str = "make room or choose another folder, then run the same command again",
) -> Iterator[BinaryIO]:
    """A file to write that takes the place of `path` when the block ends.

    Whoever reads `path`, and whoever pulls the plug, finds the old file or the new one; an error in the block
    leaves the old one. Written meanwhile is path.partial, which a killed process leaves to the next one.

    shared: another process may write the same path at the same time, so that each needs an unfinished file
    of its own; one that is killed leaves it to whoever writes the path an hour later.

    Raises:
        NotWritten: the system's error in opening, writing or moving the file; ends with the remedy.
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
        with suppress(OSError):  # nothing there, or not even a folder
            unfinished.unlink()


def flush(file: BinaryIO) -> None:
    """Return once what was written is on the disk."""
    file.flush()
    os.fsync(file.fileno())


@contextmanager
def replaced_folder(out: Path, *, last: str, earlier: tuple[str, ...]) -> Iterator[Path]:
    """A folder to write in, whose files move to `out` when the block ends; an error leaves `out` as it was.

    A killed process leaves the folder, as `out`/.unfinished-*, to the next one that writes to `out`.

    last: the file without which `out` counts as unfinished; it is taken away first and comes last.
    earlier: patterns of the files of an earlier run, which the new one may not have; without `last` they are
    somebody else's and stay.

    Raises:
        NotWritten: the system's error, in the block too.
    """
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        with unfinished_folder(out) as unfinished:
            yield unfinished
            if (out / last).exists():
                (out / last).unlink()
                for path in [path for pattern in earlier for path in out.glob(pattern)]:
                    path.unlink()
            for path in sorted(unfinished.iterdir(), key=lambda path: path.name == last):
                path.replace(out / path.name)


@contextmanager
def unfinished_folder(out: Path) -> Iterator[Path]:
    """An empty folder within `out`, so that moving is renaming: what lies beside it may be another disk.

    It is locked as long as this process lives; the system unlocks it when a process ends, however it ends.
    """
    for folder in out.glob(f"{UNFINISHED}*"):
        if unlocked(folder / LOCK) if (folder / LOCK).exists() else old(folder):
            shutil.rmtree(folder, ignore_errors=True)
    with (
        tempfile.TemporaryDirectory(dir=out, prefix=UNFINISHED) as name,
        Path(name, f"{LOCK}.new").open("wb") as lock,
    ):
        fcntl.flock(lock, fcntl.LOCK_EX)
        Path(lock.name).rename(Path(name, LOCK))  # so that nobody finds it unlocked
        (files := Path(name, "files")).mkdir()
        yield files


def remove_abandoned_files(path: Path) -> None:
    for unfinished in path.parent.glob(f"{glob.escape(path.name)}.*.partial"):
        if old(unfinished) and unlocked(unfinished):
            unfinished.unlink(missing_ok=True)


def unlocked(path: Path) -> bool:
    try:
        with path.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # locked, gone by now, or on a file system without locks
        return False
    return True


def old(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > UNLOCKED_S
    except OSError:
        return False


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Names the file, or else `path`, in what the system says of it.

    Raises:
        NotWritten: an OSError in the block.
    """
    try:
        yield
    except OSError as error:
        raise NotWritten(
            f"{error.filename or path}: cannot be written or read ({error.strerror or error}); "
            "make room or mend the permissions, then rerun"
        ) from error


def refuse_same(source: Path, out: Path) -> None:
    """
    Raises:
        SameFolder: they are one folder.
    """
    if source.resolve() == out.resolve():
        raise SameFolder(f"{out}: would take the place of what it is made of; name another --out")
