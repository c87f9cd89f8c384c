"""Files of listings in S3, Google Cloud Storage or on a web server.

They are copied to a temporary folder first: a format is checked as a whole before its rows are read, and a
workbook or a Parquet file is not read from beginning to end.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from indexer.errors import UnreadableFile
from indexer.intake.files import FORMATS, HINTS, PHOTOS, SkippedFile, expected, select, suffix_of
from indexer.intake.listing_map import ListingMap
from indexer.intake.photo_folder import is_photo
from indexer.intake.sources.local import FileSource
from indexer.object_stores import client_errors, file_system, without_secrets

SPARE: Final = 2**30
"""Bytes that stay free on the disk of temporary files."""
WEB: Final = ("https", "http")


@contextmanager
def remote_source(url: str, root: Path | str | None, rules: ListingMap) -> Iterator[FileSource]:
    """Yield copies of the file at a URL or, in a bucket, of the files of listings below it.

    Raises:
        UnreadableFile: nothing exists there, or it cannot be copied or read.
    """
    with tempfile.TemporaryDirectory(prefix="nitamono-") as folder:
        try:
            yield copied(url, Path(folder), root, rules)
        except UnreadableFile as error:
            raise UnreadableFile(str(error).replace(folder, folder_of(url))) from error


def copied(url: str, folder: Path, root: Path | str | None, rules: ListingMap) -> FileSource:
    """Copy the files into the folder, and return them.

    Raises:
        UnreadableFile: nothing exists there, or it cannot be copied.
    """
    name = without_secrets(url)
    parts = urlsplit(url)
    try:
        files = file_system(parts.scheme)
        if parts.scheme in WEB or files.isfile(url):
            return copied_file(files, url, folder, root, rules)
        return copied_folder(files, url, folder, root, rules)
    except FileNotFoundError as error:
        raise UnreadableFile(f"{name}: not found") from error
    except PermissionError as error:
        raise UnreadableFile(f"{name}: access denied; check the credentials and their rights") from error
    except client_errors(parts.scheme) as error:
        raise UnreadableFile(f"{name}: {type(error).__name__}: {error}".replace(url, name)) from error


def copied_file(files: Any, url: str, folder: Path, root: Path | str | None, rules: ListingMap) -> FileSource:
    """Copy one file and return it.

    Raises:
        UnreadableFile: it has no format by its name.
    """
    path = urlsplit(url).path if urlsplit(url).scheme in WEB else url
    target = folder / unquote(PurePosixPath(path).name or "index")
    if suffix_of(target) not in FORMATS:
        raise UnreadableFile(f"{without_secrets(url)}: {reason_for(target)}")
    copy(files, url, target)
    return FileSource(without_secrets(url), select(target, rules), root, folder_of(url))


def copied_folder(
    files: Any, url: str, folder: Path, root: Path | str | None, rules: ListingMap
) -> FileSource:
    """Copy the files of listings below a prefix of a bucket, and return them.

    Raises:
        UnreadableFile: there is none.
    """
    found, skipped = listed(files, url)
    if not found:
        names = "".join(f"; skipped {entry}" for entry in skipped[:5])
        raise UnreadableFile(f"{url}: found no listings, {expected()}{names}")
    for name, key in found.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        copy(files, key, folder / name)
    selection = select(folder, rules)
    ordered = sorted((*selection.skipped_files, *skipped), key=lambda entry: entry.file)
    return FileSource(url, replace(selection, skipped_files=tuple(ordered)), root, folder_of(url))


def listed(files: Any, url: str) -> tuple[dict[str, str], list[SkippedFile]]:
    """Return the files of listings below a prefix by their names relative to it, and those that are skipped.
    Photos are counted, not named.

    Raises:
        FileNotFoundError: nothing exists there.
    """
    prefix = files._strip_protocol(url).rstrip("/") + "/"
    keys = files.find(url)
    if not keys:
        raise FileNotFoundError(url)
    found: dict[str, str] = {}
    skipped: list[SkippedFile] = []
    photos: Counter[str] = Counter()
    for key in keys:
        name = key.removeprefix(prefix)
        path = PurePosixPath(name)
        if is_photo(Path(name)):
            photos[path.suffix.lower()] += 1
        elif path.is_absolute() or ".." in path.parts:
            skipped.append(SkippedFile(name, "not the name of a file"))
        elif suffix_of(Path(name)) in FORMATS:
            found[name] = key
        else:
            skipped.append(SkippedFile(name, reason_for(Path(name))))
    return found, [*skipped, *(SkippedFile(f"*{suffix}", PHOTOS, count) for suffix, count in photos.items())]


def copy(files: Any, source: str, target: Path) -> None:
    """Copy a file, in constant memory.

    Raises:
        UnreadableFile: it does not fit on the disk.
    """
    from fsspec.callbacks import Callback  # noqa: PLC0415  not every installation has it

    class Room(Callback):  # type: ignore[misc]  # fsspec has no types
        """Ends a copy before the disk is full: not every server says how large a file is."""

        def relative_update(self, inc: int = 1) -> None:  # noqa: ARG002  the name is fsspec's
            free = shutil.disk_usage(target.parent).free
            if free < SPARE:
                raise UnreadableFile(
                    f"{target}: it does not fit into {target.parent}; set TMPDIR to a folder with more room"
                )

    files.get_file(source, str(target), callback=Room())


def reason_for(path: Path) -> str:
    """Return why a file is not read, by its name."""
    return HINTS.get(suffix_of(path)) or expected()


def folder_of(url: str) -> str:
    """Return the URL of the folder of a file, or the URL of the folder."""
    parts = urlsplit(without_secrets(url))
    is_file = suffix_of(Path(parts.path)) in FORMATS
    path = parts.path.rpartition("/")[0] if is_file else parts.path.rstrip("/")
    return f"{parts.scheme}://{parts.netloc}{path}"
