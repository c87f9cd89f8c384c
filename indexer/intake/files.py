"""Selection, check and reading of files of listings."""

from __future__ import annotations

import codecs
import csv
import io
import mimetypes
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from indexer.errors import UnreadableFile
from indexer.intake.columns import REQUIRED
from indexer.intake.csv_file import Lines, checked_header, read_csv, read_header
from indexer.intake.jsonl import names_in, read_jsonl
from indexer.intake.parquet import checked_rows, fields_in, open_parquet, read_parquet
from indexer.intake.row import Row
from indexer.intake.text import UTF8, checked_json_lines, checked_lines, encoding_of
from ml.inference import preprocess

LINES = frozenset({".jsonl", ".ndjson"})
TABLES = frozenset({".csv", ".tsv"})
PARQUET = frozenset({".parquet"})
SUFFIXES = (".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")

PHOTO_SUFFIXES = frozenset({*preprocess.SUFFIXES, ".jxl"})
"""Suffixes of photos, since `mimetypes` does not know all of them in every Python. JPEG XL is not decoded."""
HINTS = dict.fromkeys(
    (".gz", ".zst", ".zip", ".bz2", ".xz", ".lz4", ".7z", ".tgz", ".tar"), "unpack it first"
)
HINTS |= dict.fromkeys((".xlsx", ".xls", ".ods"), "save it as CSV first")
HINTS[".json"] = "convert it to JSON lines (.jsonl) first"
SAMPLE_LINES = 100
"""The number of lines that decide whether a file has listings."""


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
        return str(file.relative_to(self.folder))


def select(path: Path, encoding: str | None = None) -> Selection:
    """Return the file itself, or the files of listings in a folder and its sub-folders by suffix.

    The case of a suffix is ignored. A file whose first rows lack most fields of a listing is skipped.

    Raises:
        UnreadableFile: nothing exists there, or nothing that can be read.
    """
    if not path.exists():
        raise UnreadableFile(f"{path}: not found")
    if path.is_file():
        if path.suffix.lower() not in SUFFIXES:
            raise UnreadableFile(f"{path}: {reason_for(path) or expected()}")
        return Selection((path,), path.parent)
    found, skipped = walk(path)
    others = [file for file in found if not is_of_listings(file, encoding)]
    skipped += [SkippedFile(str(file.relative_to(path)), "its rows are not listings") for file in others]
    files = tuple(file for file in found if file not in others)
    if not files:
        names = "".join(f"; skipped {entry}" for entry in skipped[:5])
        raise UnreadableFile(f"{path}: found no file that ends in {', '.join(SUFFIXES)}{names}")
    return Selection(files, path, tuple(sorted(skipped, key=lambda entry: entry.file)))


def expected() -> str:
    """Return the suffixes that a file can have, for an error message."""
    return f"expected a file that ends in {', '.join(SUFFIXES)}"


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
    skipped += [SkippedFile(f"*{suffix}", "photos", count) for suffix, count in photos.items()]
    skipped += [SkippedFile(".*", "hidden", hidden)] if hidden else []
    return found, skipped


def raise_unreadable(error: OSError) -> None:
    """Raise UnreadableFile for a folder that cannot be listed."""
    raise UnreadableFile(str(error)) from error


def is_photo(file: Path) -> bool:
    """Return whether the file is a photo by its name."""
    kind = mimetypes.guess_type(file.name)[0] or ""
    return file.suffix.lower() in PHOTO_SUFFIXES or kind.startswith("image/")


def reason_for(file: Path) -> str:
    """Return why the file is skipped, by its name and type; empty if it is read."""
    suffix = file.suffix.lower()
    if suffix in HINTS:
        return HINTS[suffix]
    if not file.is_file():
        return "not a regular file"
    return "" if suffix in SUFFIXES else expected()


def is_of_listings(file: Path, encoding: str | None) -> bool:
    """Return whether the first rows have most fields of a listing. True if that cannot be determined, so that
    a damaged file is reported as an error rather than skipped."""
    try:
        names = names_of(file, encoding)
    except (OSError, ValueError, pa.ArrowException, csv.Error, UnreadableFile):
        return True
    return not names or ("item_id" in names and 2 * len(names & set(REQUIRED)) > len(REQUIRED))


def names_of(file: Path, encoding: str | None) -> set[str]:
    """Return the names of the fields in the first rows of the file."""
    suffix = file.suffix.lower()
    if suffix in PARQUET:
        with file.open("rb") as binary:
            return set(fields_in(open_parquet(binary)))
    with open_text(file, encoding) as text:
        if suffix in LINES:
            return names_in(text, SAMPLE_LINES)
        header = read_header(Lines(text))
        return set(header.names) if header else set()


def checked_rows_of(path: Path, encoding: str | None = None) -> int:
    """Check that the file can be read, and return about how many rows it has.

    Raises:
        UnreadableFile: it is damaged, in another encoding, or has no listings.
    """
    suffix = path.suffix.lower()
    try:
        if suffix in PARQUET:
            with path.open("rb") as binary:
                return checked_rows(binary)
        name = encoding_of(path, encoding)
        if suffix in LINES and name == UTF8:
            return checked_json_lines(path)
        count = checked_lines(path, name)
        if suffix in TABLES:
            with open_text(path, encoding) as text:
                checked_header(text)
        return count
    except (OSError, pa.ArrowException, csv.Error, UnreadableFile) as error:
        raise UnreadableFile(f"{path}: {error}") from error


def open_text(path: Path, encoding: str | None) -> io.TextIOWrapper:
    """Open the file as text with unchanged line breaks.

    In JSON lines, bytes that cannot be decoded become lone surrogates, so that only the lines with such bytes
    are rejected. In tables they are an error.
    """
    name = encoding_of(path, encoding)
    errors, newline = ("surrogateescape", "\n") if is_lines(path) else ("strict", "")
    return path.open(encoding=name, errors=errors, newline=newline)


def is_lines(path: Path) -> bool:
    """Return whether the file has a JSON object on each line."""
    return path.suffix.lower() in LINES


def read_rows(
    path: Path, root: Path, encoding: str | None = None, *, name: str | None = None
) -> Iterator[Row]:
    """Yield the rows of a file. Relative photo paths start from `root`.

    `name` is the file in the details of rejected rows, by default its name without folders.

    Raises:
        UnreadableFile: the file cannot be opened, or its content does not match its suffix.
    """
    try:
        for row in rows_of(path, encoding):
            yield row.at(name or path.name, root)
    except (OSError, UnicodeError, pa.ArrowException, csv.Error, UnreadableFile) as error:
        raise UnreadableFile(f"{path}: {error}") from error


def rows_of(path: Path, encoding: str | None) -> Iterator[Row]:
    """Yield the rows of a file by its suffix."""
    if path.suffix.lower() in PARQUET:
        with path.open("rb") as binary:
            yield from read_parquet(binary)
    else:
        with open_text(path, encoding) as text:
            yield from read_jsonl(text) if is_lines(path) else read_csv(text)


def is_text_encoding(name: str) -> bool:
    """Return whether Python has a text encoding of that name."""
    try:
        return bool(codecs.lookup(name)._is_text_encoding)
    except LookupError:
        return False
