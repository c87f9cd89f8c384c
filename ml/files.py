"""Files that are whole or not there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ml.errors import MlError


class NotWritten(MlError):
    """A file that could not be written: no room on its disk, no permission, no such folder."""


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
    of its own; one that is killed leaves it behind.

    Raises:
        NotWritten: the system's error in opening, writing or moving the file; ends with the remedy.
    """
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.partial" if shared else f"{path.name}.partial")
    try:
        with unfinished.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        raise NotWritten(f"{path}: cannot be written ({error.strerror or error}); {remedy}") from error
    finally:
        unfinished.unlink(missing_ok=True)
