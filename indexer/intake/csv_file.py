"""CSV files: their dialect, their header, and records, none of which a stray quote merges with another."""

from __future__ import annotations

import csv
import re
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Final, TextIO

from console.counts import count_of
from indexer.errors import UnreadableFile
from indexer.intake.listing_map import ListingMap, is_known
from indexer.intake.row import MAX_ROW_LENGTH, Checked, Row, is_item_id
from indexer.intake.text import checked_encoding, open_text

DELIMITERS = (",", ";", "\t")
_SEP_LINE = re.compile(r'"?sep=([^"\r\n ])"?\s*', re.IGNORECASE)
_SEP = re.compile(r'"?sep=', re.IGNORECASE)
_LINE_BREAK = re.compile(r"\r\n|\r|\n")
# A quoted field after its opening quote.
_QUOTED_REST = re.compile(r'(?:[^"]|"")*+"')


INVALID: Final = "invalid_csv"
WRONG_FIELD_COUNT: Final = "wrong_field_count"


class BadRecord(Exception):
    """The lines from the current one are not a record; `length` of them are to be rejected."""

    def __init__(self, detail: str, length: int = 1, reason: str = INVALID) -> None:
        super().__init__(detail)
        self.length = length
        self.reason = reason


class Lines:
    """The physical lines of a text, with lookahead. A record with line breaks in a field has several."""

    def __init__(self, text: TextIO) -> None:
        self._text = text
        self._buffer: deque[str] = deque()
        self.number = 0
        """The number of lines taken so far."""

    def upcoming(self, skip: int = 0) -> Iterator[str]:
        """Yield the next lines after `skip` others without taking them.

        Raises:
            BadRecord: they have more characters than a record may have.
        """
        size = 0
        for position in range(skip, sys.maxsize):
            while len(self._buffer) <= position:
                line = self._text.readline(MAX_ROW_LENGTH)
                if not line:
                    return
                self._buffer.append(line)
            line = self._buffer[position]
            size += len(line)
            if size >= MAX_ROW_LENGTH:
                raise BadRecord(f"the record is longer than {MAX_ROW_LENGTH:,} characters")
            yield line

    def record(self, length: int) -> str:
        """Return the text of the next lines without taking them."""
        return "".join(islice(self.upcoming(), length))

    def peek(self) -> str | None:
        """Return the next line without taking it; None at the end."""
        if not self._buffer:
            line = self._text.readline(MAX_ROW_LENGTH)
            if not line:
                return None
            self._buffer.append(line)
        return self._buffer[0]

    def take(self, count: int) -> list[str]:
        """Take the next lines; the rest of one that is too long is dropped."""
        taken = [self._buffer.popleft() for _ in range(count)]
        self.number += count
        part = taken[-1]
        while not self._buffer and len(part) == MAX_ROW_LENGTH and not part.endswith(("\n", "\r")):
            part = self._text.readline(MAX_ROW_LENGTH)
        return taken


@dataclass(frozen=True)
class Dialect:
    """How the fields of a file are separated."""

    delimiter: str
    padded: bool = False
    """Whether a space follows each delimiter and is not part of the field."""

    def record(self, lines: Iterable[str]) -> tuple[list[str], int]:
        """Return the fields of the record that begins with the first line, and the number of its lines.

        Raises:
            BadRecord: a quote is misplaced or not closed.
        """
        reader = csv.reader(lines, delimiter=self.delimiter, skipinitialspace=self.padded, strict=True)
        try:
            return next(reader, []), max(reader.line_num, 1)
        except csv.Error as error:
            raise BadRecord(f"a quote is misplaced or not closed ({error})") from error

    def quoted_fields(self, record: str) -> Iterator[tuple[int, int, int]]:
        """Yield, for each quoted field of a record, its index and the start and end of its text."""
        position, index = 0, 0
        while position < len(record):
            if self.padded and record[position] == " ":
                position += 1
                continue
            if record[position] == '"' and (rest := _QUOTED_REST.match(record, position + 1)):
                yield index, position + 1, rest.end() - 1
                position = rest.end()
            position = (record.find(self.delimiter, position) + 1) or len(record)
            index += 1

    def has_bare_quote(self, record: str) -> bool:
        """Return whether a field that is not quoted has a quote."""
        quoted = sum(record.count('"', start, end) + 2 for _, start, end in self.quoted_fields(record))
        return record.count('"') != quoted


@dataclass(frozen=True)
class Header:
    """A file's columns, in order, the dialect of its records, and the fields of its columns."""

    columns: tuple[str, ...]
    dialect: Dialect
    rules: ListingMap

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The fields of the columns."""
        return tuple(map(self.rules.field_of, self.columns))

    @cached_property
    def min_fields(self) -> int:
        """The fewest fields that a row can have: spreadsheets omit empty ones at the end."""
        required = (self.names.index(name) for name in self.rules.required if name in self.names)
        return 1 + max(required, default=0)

    def fits(self, count: int) -> bool:
        """Return whether a row can have that many fields."""
        return self.min_fields <= count <= len(self.names)

    def check(self, fields: Sequence[str], lines: Lines, length: int) -> None:
        """Check that the record of `length` lines is one row.

        A quote that a producer did not close merges the rows up to the next quote, and the number of fields
        may fit by chance. So a record of several lines is rejected if both of these hold: the line in which
        its quoted field begins has enough fields for a row of its own, and a row begins at one of the lines
        that follow. Neither holds for a text with line breaks, unless it has rows of such a file.

        Raises:
            BadRecord: it is not one row.
        """
        if length > 1 and self._swallows(lines.record(length), lines):
            raise BadRecord("a quote is not closed: the following rows would be part of this one")
        if not self.fits(len(fields)):
            found = f"found {count_of(len(fields), 'field')}, the header has {len(self.names)}"
            raise BadRecord(found, length, WRONG_FIELD_COUNT)

    def _swallows(self, record: str, lines: Lines) -> bool:
        for index, start, end in self.dialect.quoted_fields(record):
            head, *rest = _LINE_BREAK.split(record[start:end])
            if rest and index + max(self.field_count(head), 1) >= self.min_fields:
                line = len(_LINE_BREAK.findall(record, 0, start))
                if any(self._begins_row(lines, line + nth) for nth in range(1, len(rest) + 1)):
                    return True
        return False

    def _begins_row(self, lines: Lines, position: int) -> bool:
        try:
            fields, _ = self.dialect.record(lines.upcoming(position))
        except BadRecord:
            return False
        return self.fits(len(fields))

    def field_count(self, line: str) -> int:
        """Return the number of fields of a single line, wherever its quotes are."""
        return len(next(csv.reader([line], delimiter=self.dialect.delimiter), []))

    def is_fragment(self, line: str) -> bool:
        """Return whether the line is too short for a row, even if every delimiter in it separates fields.

        A line without its last empty fields is a row if it has an item id and a status.
        """
        fields = [field.strip('" \r\n') for field in line.split(self.dialect.delimiter)]
        return len(fields) < len(self.names) and not (self.fits(len(fields)) and self.is_row(fields))

    def is_certain(self, fields: Sequence[str], length: int) -> bool:
        """Return whether a record with misplaced quotes is a row: a single line cannot mix two rows."""
        return length == 1 and self.is_row(fields)

    def is_row(self, fields: Sequence[str]) -> bool:
        """Return whether the fields have a valid item id and a valid status in their columns."""
        named = dict(zip(self.names, fields, strict=False))
        return is_item_id(named.get("item_id", "").strip()) and self.rules.is_status(named.get("status", ""))

    def record(self, fields: Sequence[str]) -> dict[str, str]:
        """Return the fields that are not empty by column. Columns without a name are ignored, such as a row
        number, or an empty last one after a comma."""
        return {name: value for name, value in zip(self.columns, fields, strict=False) if name and value}


@dataclass
class RejectedLines:
    """Lines that are not a record, from `start` to `end` except blank ones, and the reason."""

    start: int
    end: int
    lines: list[str]
    detail: str
    reason: str

    def row(self) -> Row:
        """Return them as a row without an event."""
        location = f"line {self.start}" if self.start == self.end else f"lines {self.start} to {self.end}"
        return Row(None, "".join(self.lines).rstrip("\r\n"), self.reason, self.detail, location)


def read_header(lines: Lines, rules: ListingMap) -> Header | None:
    """Return the header: the first line that is not blank, after a `sep=` line if there is one. None for an
    empty file. The delimiter is the one that results in the most known names.

    Raises:
        UnreadableFile: the header cannot be read, or the `sep=` line has no valid delimiter.
    """
    delimiters: Sequence[str] = DELIMITERS
    while (line := lines.peek()) is not None and (not line.strip() or _SEP_LINE.fullmatch(line)):
        if separator := _SEP_LINE.fullmatch(line):
            delimiters = separator[1]
        lines.take(1)
    if line is None:
        return None
    if _SEP.match(line):
        expected = "sep= and one character that is not a quote or a space"
        raise UnreadableFile(f"line {lines.number + 1}: found {line.strip()[:40]!r}, expected {expected}")
    headers = [found for delimiter in delimiters if (found := header_in(lines, delimiter, rules))]
    if not headers:
        raise UnreadableFile(f"line {lines.number + 1}: a quote is misplaced or not closed in the header")
    header, length = max(headers, key=lambda found: (sum(map(is_known, found[0].names)), len(found[0].names)))
    lines.take(length)
    return header


def header_in(lines: Lines, delimiter: str, rules: ListingMap) -> tuple[Header, int] | None:
    """Return the next header, read with this delimiter, and the number of its lines."""
    padded = delimiter + " " in (lines.peek() or "")
    dialect = Dialect(delimiter, padded)
    try:
        fields, length = dialect.record(lines.upcoming())
    except BadRecord:
        return None
    return Header(tuple(field.strip().strip("\ufeff") for field in fields), dialect, rules), length


def check(path: Path, rules: ListingMap) -> Checked:
    """Return the number of lines of a file of listings.

    Raises:
        UnreadableFile: it is in another encoding, a required column is missing, or a column is repeated.
    """
    encoding, lines = checked_encoding(path, rules.formats.encoding)
    with open_text(path, rules.formats.encoding) as text:
        header = read_header(Lines(text), rules)
    if header and (problem := rules.column_problem(header.columns)):
        raise UnreadableFile(problem)
    return Checked(lines, encoding)


def rows(path: Path, rules: ListingMap) -> Iterator[Row]:
    """Yield the records of a file that are not blank.

    Raises:
        UnreadableFile: the header cannot be read.
    """
    with open_text(path, rules.formats.encoding) as text:
        yield from read_csv(text, rules)


def next_record(header: Header, lines: Lines, *, in_doubt: bool) -> tuple[list[str], int]:
    """Return the fields of the next record and the number of its lines.

    in_doubt: a quote in a rejected record before it may not be closed.

    Raises:
        BadRecord: the next lines are not a record or, in doubt, may be the rest of one.
    """
    fields, length = header.dialect.record(lines.upcoming())
    if any(map(str.strip, fields)):
        header.check(fields, lines, length)
        uncertain = in_doubt and not header.is_certain(fields, length)
        if uncertain and header.dialect.has_bare_quote(lines.record(length)):
            raise BadRecord("a quote is misplaced, after a record that is not closed")
    return fields, length


def read_csv(text: TextIO, rules: ListingMap) -> Iterator[Row]:
    """Yield a row for each record that is not blank.

    After a bad record, reading continues at the line after its first. A record with bare quotes is then
    rejected too, since it may be the rest of a field, until a record has none, or a line has a valid item id
    and status. Until then, lines that are too short for a row belong to the rejected record before them,
    unless nothing but the number of fields is wrong with both. A record without a quote that has a wrong
    number of fields leaves no such doubt.

    Raises:
        UnreadableFile: the header cannot be read.
    """
    csv.field_size_limit(MAX_ROW_LENGTH)
    lines = Lines(text)
    header = read_header(lines, rules)
    rejected: RejectedLines | None = None
    in_doubt = False
    while header and lines.peek() is not None:
        start = lines.number + 1
        try:
            fields, length = next_record(header, lines, in_doubt=in_doubt)
        except BadRecord as error:
            may_be_rest = in_doubt and not (rejected and rejected.reason == error.reason == WRONG_FIELD_COUNT)
            # Directly after a misplaced quote, the other lines of this one may be rows.
            taken = lines.take(1 if may_be_rest else error.length)
            if rejected and may_be_rest and header.is_fragment(taken[0]):
                rejected.lines += taken
                rejected.end = lines.number
            else:
                if rejected:
                    yield rejected.row()
                rejected = RejectedLines(start, lines.number, taken, str(error), error.reason)
            in_doubt = in_doubt or error.reason == INVALID or any('"' in line for line in taken)
            continue
        lines.take(length)
        if any(map(str.strip, fields)):
            if rejected:
                yield rejected.row()
                rejected = None
            in_doubt = False
            yield Row(header.record(fields), location=f"line {start}")
    if rejected:
        yield rejected.row()
