"""What a path names: files of listings, and what is left out of them."""

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
from indexer.intake.csv_file import Lines, checked_header, read_csv, read_header
from indexer.intake.jsonl import names_in, read_jsonl
from indexer.intake.parquet import checked_rows, fields_in, open_parquet, read_parquet
from indexer.intake.row import REQUIRED, Row
from indexer.intake.text import UTF8, checked_json_lines, checked_lines, encoding_of
from ml.inference import preprocess

LINES = frozenset({".jsonl", ".ndjson"})
TABLES = frozenset({".csv", ".tsv"})
PARQUET = frozenset({".parquet"})
SUFFIXES = (".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")

PHOTO_SUFFIXES = frozenset({*preprocess.SUFFIXES, ".jxl"})
"""Suffixes of photos, more than every Python's `mimetypes` knows; JPEG XL is one, but is not decoded."""
HINTS = dict.fromkeys(
    (".gz", ".zst", ".zip", ".bz2", ".xz", ".lz4", ".7z", ".tgz", ".tar"), "unpack it first"
)
HINTS |= dict.fromkeys((".xlsx", ".xls", ".ods"), "save it as CSV first")
HINTS[".json"] = "write one listing a line, as .jsonl, first"
FIRST_LINES = 100
"""Lines of a file that tell whether it holds listings."""


@dataclass(frozen=True)
class SkippedFile:
    """A file, or a group of them, that is not read, and why."""

    file: str
    reason: str
    files: int = 1

    def to_json(self) -> dict[str, Any]:
        """`{"file": "*.jpg", "files": 7000, "reason": "photos"}`."""
        return {"file": self.file, "files": self.files, "reason": self.reason}

    def __str__(self) -> str:
        count = f" ({self.files:,} files)" if self.files > 1 else ""
        return f"{self.file}{count}: {self.reason}"


@dataclass(frozen=True)
class Selection:
    """The files of listings that a path names, in order, and what is left out."""

    files: tuple[Path, ...]
    skipped_files: tuple[SkippedFile, ...] = ()


def select(path: Path, encoding: str | None = None) -> Selection:
    """The file itself, or the files of listings in a folder and its sub-folders, by their suffix in any case.

    A file whose first rows have other fields than a listing is left out.

    Raises:
        UnreadableFile: nothing there, or nothing that can be read.
    """
    if not path.exists():
        raise UnreadableFile(f"{path}: not found")
    if path.is_file():
        if path.suffix.lower() not in SUFFIXES:
            raise UnreadableFile(f"{path}: {reason_for(path) or expected()}")
        return Selection((path,))
    found, skipped_files = walk(path)
    others = [file for file in found if not is_of_listings(file, encoding)]
    skipped_files += [SkippedFile(str(file.relative_to(path)), "its rows are no listings") for file in others]
    files = tuple(file for file in found if file not in others)
    if not files:
        names = "".join(f"; left out {entry}" for entry in skipped_files[:5])
        raise UnreadableFile(f"{path}: found no file that ends in {', '.join(SUFFIXES)}{names}")
    return Selection(files, tuple(sorted(skipped_files, key=lambda entry: entry.file)))


def expected() -> str:
    """What a file should be."""
    return f"expected a file that ends in {', '.join(SUFFIXES)}"


def walk(folder: Path) -> tuple[list[Path], list[SkippedFile]]:
    """The files below a folder by their suffix: those to be read, and the others. Photos and hidden files
    are counted, not named.

    Raises:
        UnreadableFile: a sub-folder cannot be listed.
    """
    found: list[Path] = []
    skipped_files: list[SkippedFile] = []
    photos: Counter[str] = Counter()
    hidden = 0
    for place, folders, names in os.walk(folder, onerror=cannot_list):
        hidden += sum(name.startswith(".") for name in (*folders, *names))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        linked = [path for path in (Path(place, name) for name in folders) if path.is_symlink()]
        skipped_files += [SkippedFile(str(path.relative_to(folder)), "a link to a folder") for path in linked]
        for name in sorted(name for name in names if not name.startswith(".")):
            file = Path(place, name)
            if is_photo(file):
                photos[file.suffix.lower()] += 1
            elif reason := reason_for(file):
                skipped_files.append(SkippedFile(str(file.relative_to(folder)), reason))
            else:
                found.append(file)
    skipped_files += [SkippedFile(f"*{suffix}", "photos", count) for suffix, count in photos.items()]
    skipped_files += [SkippedFile(".*", "hidden", hidden)] if hidden else []
    return found, skipped_files


def cannot_list(error: OSError) -> None:
    """Raises UnreadableFile for a folder that cannot be listed."""
    raise UnreadableFile(str(error)) from error


def is_photo(file: Path) -> bool:
    """Whether the name is a photo's."""
    kind = mimetypes.guess_type(file.name)[0] or ""
    return file.suffix.lower() in PHOTO_SUFFIXES or kind.startswith("image/")


def reason_for(file: Path) -> str:
    """Why the file is not read, by its name and kind; empty where it is."""
    suffix = file.suffix.lower()
    if suffix in HINTS:
        return HINTS[suffix]
    if not file.is_file():
        return "not a regular file"
    return "" if suffix in SUFFIXES else expected()


def is_of_listings(file: Path, encoding: str | None) -> bool:
    """Whether the first rows have most fields of a listing. What cannot be read may be one."""
    try:
        names = names_of(file, encoding)
    except (OSError, ValueError, pa.ArrowException, csv.Error, UnreadableFile):
        return True
    return not names or ("item_id" in names and 2 * len(names & set(REQUIRED)) > len(REQUIRED))


def names_of(file: Path, encoding: str | None) -> set[str]:
    """The names of fields at the beginning of the file; none where that has no row."""
    suffix = file.suffix.lower()
    if suffix in PARQUET:
        with file.open("rb") as binary:
            return set(fields_in(open_parquet(binary)))
    with open_text(file, encoding) as text:
        if suffix in LINES:
            return names_in(text, FIRST_LINES)
        header = read_header(Lines(text))
        return set(header.names) if header else set()


def checked_rows_of(path: Path, encoding: str | None = None) -> int:
    """About how many rows the file has, once it is known that they can be read.

    Raises:
        UnreadableFile: they cannot: the file is damaged, in another encoding, or not of listings.
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
    """The file as text, with its line breaks as they are.

    In JSON lines, bytes that cannot be decoded become lone surrogates, so that each such line can be rejected
    alone. In tables they are an error.
    """
    name = encoding_of(path, encoding)
    errors, newline = ("surrogateescape", "\n") if is_lines(path) else ("strict", "")
    return path.open(encoding=name, errors=errors, newline=newline)


def is_lines(path: Path) -> bool:
    """Whether the file has a JSON object on each line."""
    return path.suffix.lower() in LINES


def read_rows(path: Path, root: Path, encoding: str | None = None) -> Iterator[Row]:
    """The rows of a file. Relative photo paths are taken from `root`.

    Raises:
        UnreadableFile: the file cannot be opened, or is not what its name says.
    """
    try:
        for row in rows_of(path, encoding):
            yield row.at(path.name, root)
    except (OSError, UnicodeError, pa.ArrowException, csv.Error, UnreadableFile) as error:
        raise UnreadableFile(f"{path}: {error}") from error


def rows_of(path: Path, encoding: str | None) -> Iterator[Row]:
    """The rows of a file, by its suffix."""
    if path.suffix.lower() in PARQUET:
        with path.open("rb") as binary:
            yield from read_parquet(binary)
    else:
        with open_text(path, encoding) as text:
            yield from read_jsonl(text) if is_lines(path) else read_csv(text)


def is_text_encoding(name: str) -> bool:
    """Whether Python knows an encoding of text by that name."""
    try:
        return bool(codecs.lookup(name)._is_text_encoding)
    except LookupError:
        return False
