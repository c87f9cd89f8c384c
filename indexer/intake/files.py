"""Selection, check and reading of files of listings."""

from __future__ import annotations

import csv
import os
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final, Protocol

import pyarrow as pa

from indexer.errors import UnreadableFile
from indexer.intake import columnar, csv_file, excel, json_file, jsonl, photo_folder
from indexer.intake.listing_map import NO_MAP, REQUIRED, ListingMap
from indexer.intake.photo_folder import is_photo
from indexer.intake.row import Checked, Row
from indexer.intake.text import COMPRESSED


class Format(Protocol):
    """A file format. Each is a module with these two functions."""

    def check(self, path: Path, rules: ListingMap) -> Checked:
        """Return about how many rows the file has.

        Raises:
            UnreadableFile: it cannot be read, or has no listings.
        """

    def rows(self, path: Path, rules: ListingMap) -> Iterator[Row]:
        """Yield the rows of the file by column."""


TEXT: Final[Mapping[str, Format]] = {
    ".jsonl": jsonl,
    ".ndjson": jsonl,
    ".json": json_file,
    ".csv": csv_file,
    ".tsv": csv_file,
}
"""The formats that may be compressed."""
FORMATS: Final[Mapping[str, Format]] = {
    **TEXT,
    ".parquet": columnar,
    ".arrow": columnar,
    ".feather": columnar,
    ".xlsx": excel,
}
UNREADABLE: Final = (OSError, EOFError, UnicodeError, zlib.error, pa.ArrowException, csv.Error)
"""What reading a damaged file raises."""

HINTS = dict.fromkeys((".zip", ".bz2", ".xz", ".lz4", ".7z", ".tgz", ".tar"), "unpack it first")
HINTS |= dict.fromkeys((".xls", ".xlsm", ".xlsb", ".ods"), "save it as .xlsx or CSV first")
PHOTOS, HIDDEN = "photos", "hidden"
SAMPLE_ROWS = 100
"""The number of rows that decide whether a file has listings."""


@dataclass(frozen=True)
class SkippedFile:
    """A file, or a group of files, that is not read, with the reason."""

    file: str
    reason: str
    files: int = 1

    def to_json(self) -> dict[str, Any]:
        """Return `{"file": "*.jpg", "files": 7000, "reason": "photos"}`."""
        return {"file": self.file, "files": self.files, "reason": self.reason}

    def __str__(self) -> str:
        count = f" ({self.files:,} files)" if self.files > 1 else ""
        return f"{self.file}{count}: {self.reason}"


@dataclass(frozen=True)
class Selection:
    """The files of listings at a path, in order, and the files that are skipped."""

    files: tuple[Path, ...]
    folder: Path
    """The folder that was selected, or that of the file."""
    skipped_files: tuple[SkippedFile, ...] = ()

    def name_of(self, file: Path) -> str:
        """Return the file's path relative to the folder: files in sub-folders may have the same name."""
        return file.name if file == self.folder else str(file.relative_to(self.folder))


def format_of(path: Path) -> Format:
    """Return the format of a file by its suffix; for a folder, that of photos alone."""
    return photo_folder if path.is_dir() else FORMATS[suffix_of(path)]


def suffix_of(path: Path) -> str:
    """Return the suffix that determines the format, in lower case: of `a.csv.gz` it is `.csv`."""
    suffix = path.suffix.lower()
    inner = Path(path.stem).suffix.lower()
    return inner if suffix in COMPRESSED and inner in TEXT else suffix


def select(path: Path, rules: ListingMap = NO_MAP) -> Selection:
    """Return the file itself, or the files of listings in a folder and its sub-folders by suffix.

    The case of a suffix is ignored. A file whose first rows lack most fields of a listing is skipped. A
    folder of photos alone is itself selected: each photo is a listing.

    Raises:
        UnreadableFile: nothing exists there, or nothing that can be read.
    """
    if not path.exists():
        raise UnreadableFile(f"{path}: not found")
    if path.is_file():
        if suffix_of(path) not in FORMATS:
            raise UnreadableFile(f"{path}: {reason_for(path) or expected()}")
        return Selection((path,), path.parent)
    found, skipped = walk(path)
    others = [file for file in found if not is_of_listings(file, rules)]
    skipped += [SkippedFile(str(file.relative_to(path)), "its rows are not listings") for file in others]
    files = tuple(file for file in found if file not in others)
    if not files and skipped and all(entry.reason in (PHOTOS, HIDDEN) for entry in skipped):
        kept = tuple(entry for entry in skipped if entry.reason != PHOTOS)
        return Selection((path,), path, kept)
    if not files:
        names = "".join(f"; skipped {entry}" for entry in skipped[:5])
        raise UnreadableFile(f"{path}: found no listings, {expected()}{names}")
    return Selection(files, path, tuple(sorted(skipped, key=lambda entry: entry.file)))


def expected() -> str:
    """Return the suffixes that a file can have, for an error message."""
    tables = ", ".join(suffix for suffix in FORMATS if suffix not in TEXT)
    return f"expected a file that ends in {', '.join(TEXT)} (.gz or .zst may follow), {tables}"


def walk(folder: Path) -> tuple[list[Path], list[SkippedFile]]:
    """Return the files below a folder that are read, by suffix, and those that are skipped. Photos and hidden
    files are counted, not named.

    Raises:
        UnreadableFile: a sub-folder cannot be listed.
    """
    found: list[Path] = []
    skipped: list[SkippedFile] = []
    photos: Counter[str] = Counter()
    hidden = 0
    for parent, folders, names in os.walk(folder, onerror=raise_unreadable):
        hidden += sum(name.startswith(".") for name in (*folders, *names))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        linked = [path for path in (Path(parent, name) for name in folders) if path.is_symlink()]
        skipped += [SkippedFile(str(path.relative_to(folder)), "a link to a folder") for path in linked]
        for name in sorted(name for name in names if not name.startswith(".")):
            file = Path(parent, name)
            if is_photo(file):
                photos[file.suffix.lower()] += 1
            elif reason := reason_for(file):
                skipped.append(SkippedFile(str(file.relative_to(folder)), reason))
            else:
                found.append(file)
    skipped += [SkippedFile(f"*{suffix}", PHOTOS, count) for suffix, count in photos.items()]
    skipped += [SkippedFile(".*", HIDDEN, hidden)] if hidden else []
    return found, skipped


def raise_unreadable(error: OSError) -> None:
    """Raise UnreadableFile for a folder that cannot be listed."""
    raise UnreadableFile(str(error)) from error


def reason_for(file: Path) -> str:
    """Return why the file is skipped, by its name and type; empty if it is read."""
    suffix = suffix_of(file)
    if suffix in HINTS:
        return HINTS[suffix]
    if not file.is_file():
        return "not a regular file"
    return "" if suffix in FORMATS else expected()


def is_of_listings(file: Path, rules: ListingMap) -> bool:
    """Return whether the first rows have most fields of a listing. True if that cannot be determined, so that
    a damaged file is reported as an error rather than skipped."""
    names: set[str] = set()
    try:
        for row in islice(format_of(file).rows(file, rules), SAMPLE_ROWS):
            names |= {rules.field_of(str(column)) for column in row.event or ()}
            if names >= rules.required and "item_id" in names:
                return True  # whatever is in the other rows
    except (*UNREADABLE, UnreadableFile):
        return True
    return not names or ("item_id" in names and 2 * len(names & set(REQUIRED)) > len(REQUIRED))


def checked(path: Path, rules: ListingMap = NO_MAP) -> Checked:
    """Check that the file can be read, and return about how many rows it has.

    Raises:
        UnreadableFile: it is damaged, in another encoding, or has no listings.
    """
    try:
        return format_of(path).check(path, rules)
    except (*UNREADABLE, UnreadableFile) as error:
        raise UnreadableFile(f"{path}: {error}") from error


def read_rows(
    path: Path, root: Path | str, rules: ListingMap = NO_MAP, *, name: str | None = None
) -> Iterator[Row]:
    """Yield the rows of a file with their events. Relative photo paths start from `root`.

    `name` is the file in the details of rejected rows, by default its name without folders.

    Raises:
        UnreadableFile: the file cannot be opened, or its content does not match its suffix.
    """
    is_json = format_of(path) in (jsonl, json_file)
    for row in records(path, rules):
        event = None if row.event is None else rules.event_of(row.event, nulls_clear=is_json)
        yield replace(row, event=event).at(name or path.name, root)


def records(path: Path, rules: ListingMap) -> Iterator[Row]:
    """Yield the rows of a file by column.

    Raises:
        UnreadableFile: as `read_rows`.
    """
    try:
        yield from format_of(path).rows(path, rules)
    except (*UNREADABLE, UnreadableFile) as error:
        raise UnreadableFile(f"{path}: {error}") from error
