"""Writing of ranking files."""

from __future__ import annotations

from pathlib import Path

from calibration.errors import NotWritten
from query.search.ranking_file import RankingFile


def check_writable(path: Path, *, force: bool) -> None:
    """Check that a file may be written, before the work.

    Raises:
        NotWritten: it exists, or its folder does not.
    """
    if path.exists() and not force:
        raise NotWritten(f"{path} exists; name another file, or replace it with --force")
    if not path.parent.is_dir():
        raise NotWritten(f"{path}: there is no folder {path.parent}")


def write(file: RankingFile, path: Path) -> None:
    """Write a ranking file.

    Raises:
        NotWritten: it cannot be written.
    """
    try:
        path.write_text(file.to_json(), encoding="utf-8")
    except OSError as error:
        raise NotWritten(f"{path} cannot be written: {error.strerror}") from error
