"""Excel workbooks (.xlsx) with a listing in each row of a sheet."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final
from xml.etree.ElementTree import ParseError

import openpyxl
from openpyxl.utils.exceptions import InvalidFileException
from openpyxl.workbook import Workbook

from indexer.errors import UnreadableFile
from indexer.intake.columns import json_value
from indexer.intake.listing_map import ListingMap
from indexer.intake.row import MAX_ROW_LENGTH, Checked, Row

MAX_UNPACKED: Final = 256 * 2**20
"""Bytes of the XML in a workbook: about 800,000 rows of ten columns. openpyxl has its texts in memory."""
MAX_PART: Final = 16 * 2**20
"""Bytes of XML between the beginnings of two rows: openpyxl has a row in memory, 25 times as large."""
MAX_ROWS: Final = 2**20
"""Of a sheet, by the limits of Excel. openpyxl returns rows that are left out, up to any number."""
MAX_COLUMNS: Final = 1_000

DAMAGED = (
    zipfile.BadZipFile,
    InvalidFileException,
    ParseError,
    # What openpyxl raises for XML that is not a workbook's.
    AttributeError,
    KeyError,
    IndexError,
    TypeError,
    ValueError,
    NotImplementedError,
    RuntimeError,
)
_ROW = re.compile(rb"<(?:\w+:)?row\b")
Values = tuple[Any, ...]


def check(path: Path, rules: ListingMap) -> Checked:
    """Check that a sheet has listings. Its rows are not counted: that takes as long as reading them.

    Raises:
        UnreadableFile: it is damaged, too large, or has no sheet with the required columns.
    """
    with closing(opened(path)) as book:
        sheet_of_listings(book, rules)
    return Checked(0)


def rows(path: Path, rules: ListingMap) -> Iterator[Row]:
    """Yield the rows of the first sheet with the required columns. Dates have no time zone in Excel.

    Raises:
        UnreadableFile: as `check`.
    """
    with closing(opened(path)) as book:
        title, header_row, columns = sheet_of_listings(book, rules)
        numbered = enumerate(rows_in(book, title, len(columns)), 1)
        try:
            yield from (
                row_of(columns, values, f"sheet {title} row {number}")
                for number, values in numbered
                if number > header_row and any(value is not None for value in values)
            )
        except DAMAGED as error:
            raise UnreadableFile(f"sheet {title} is damaged ({_said(error)})") from error


def opened(path: Path) -> Workbook:
    """Open the workbook for reading only, with the values of formulas as Excel stored them.

    Raises:
        UnreadableFile: it is damaged or too large.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
            if size > MAX_UNPACKED:
                limit = MAX_UNPACKED // 2**20
                raise UnreadableFile(
                    f"its sheets have {size // 2**20:,} MiB, at most {limit}: save it as CSV"
                )
            for name in archive.namelist():
                if name.startswith("xl/worksheets/"):
                    check_parts(archive, name)
        return openpyxl.load_workbook(path, read_only=True, data_only=True, keep_links=False)
    except DAMAGED as error:
        raise UnreadableFile(f"it is no .xlsx workbook ({_said(error)}): save it as CSV") from error


def check_parts(archive: zipfile.ZipFile, name: str) -> None:
    """Check that a sheet's XML has a row every MAX_PART bytes.

    Raises:
        UnreadableFile: it has not.
    """
    since = 0
    with archive.open(name) as part:
        while data := part.read(2**20):
            starts = [match.start() for match in _ROW.finditer(data)]
            since = len(data) - starts[-1] if starts else since + len(data)
            if since > MAX_PART:
                limit = MAX_PART // 2**20
                raise UnreadableFile(f"a row of {name} has more than {limit} MiB: save it as CSV")


def sheet_of_listings(book: Workbook, rules: ListingMap) -> tuple[str, int, list[str]]:
    """Return the title of the first sheet with the required columns, the number of its header row, and its
    columns.

    Raises:
        UnreadableFile: there is none.
    """
    problems = []
    for sheet in book.worksheets:
        number, columns = header_of(book, sheet.title)
        problem = rules.column_problem(columns)
        if not problem:
            return sheet.title, number, columns
        problems.append(f"sheet {sheet.title}: {problem}")
    raise UnreadableFile(problems[0] if problems else "it has no sheet")


def header_of(book: Workbook, title: str) -> tuple[int, list[str]]:
    """Return the number of the first row that is not blank, and its texts."""
    try:
        for number, values in enumerate(rows_in(book, title, MAX_COLUMNS), 1):
            texts = [str(value) if value is not None else "" for value in values]
            if any(texts):
                last = max(position for position, text in enumerate(texts) if text)
                return number, texts[: last + 1]
    except DAMAGED as error:
        raise UnreadableFile(f"sheet {title} is damaged ({_said(error)})") from error
    return 0, []


def rows_in(book: Workbook, title: str, columns: int) -> Iterator[Values]:
    """Yield the rows of a sheet, whatever size it claims to have."""
    sheet = book[title]
    sheet.reset_dimensions()
    return sheet.iter_rows(max_row=MAX_ROWS, max_col=columns, values_only=True)


def row_of(columns: list[str], values: Values, location: str) -> Row:
    """Return the row with these values."""
    if sum(len(value) for value in values if isinstance(value, str)) > MAX_ROW_LENGTH:
        detail = f"longer than {MAX_ROW_LENGTH:,} characters"
        return Row(None, str(values)[:MAX_ROW_LENGTH], "line_too_long", detail, location)
    record = {column: json_value(value) for column, value in zip(columns, values, strict=False) if column}
    return Row(record, location=location)


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".partition("\n")[0][:200]
