"""CSV files: their dialect, their header, and records that a stray quote cannot swallow."""

from __future__ import annotations

import csv
import re
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TextIO

from indexer.errors import UnreadableFile
from indexer.intake.columns import event_of
from indexer.intake.row import (
    LONGEST_ROW,
    REQUIRED,
    Row,
    column_problem,
    field_of,
    is_item_id,
    is_known,
)
from mappings.listing import Status

DELIMITERS = (",", ";", "\t")
_SEP_LINE = re.compile(r'"?sep=([^"\r\n ])"?\s*', re.IGNORECASE)
_SEP = re.compile(r'"?sep=', re.IGNORECASE)
_STATUSES = frozenset(map(str, Status))
_LINE_BREAK = re.compile(r"\r\n|\r|\n")
# The rest of a quoted field after its opening quote.
_QUOTED_REST = re.compile(r'(?:[^"]|"")*+"')


class BadRecord(Exception):
    """What begins at a line is no record: `length` lines of it are to be rejected."""

    def __init__(self, detail: str, length: int = 1) -> None:
        super().__init__(detail)
        self.length = length


class Lines:
    """The physical lines of a text, with a look ahead. A quoted field may hold line breaks, so that a record
    can have several lines."""

    def __init__(self, text: TextIO) -> None:
        self._text = text
        self._ahead: deque[str] = deque()
        self.number = 0
        """Lines taken so far."""

    def ahead(self, skip: int = 0) -> Iterator[str]:
        """The lines that come next, without taking them: as many as one record may have.

        Raises:
            BadRecord: the longest record's characters are used up.
        """
        size = 0
        for position in range(skip, sys.maxsize):
            while len(self._ahead) <= position:
                line = self._text.readline(LONGEST_ROW)
                if not line:
                    return
                self._ahead.append(line)
            line = self._ahead[position]
            size += len(line)
            if size >= LONGEST_ROW:
                raise BadRecord(f"found a record of over {LONGEST_ROW:,} characters")
            yield line

    def record(self, length: int) -> str:
        """The text of the next lines, without taking them."""
        return "".join(islice(self.ahead(), length))

    def first(self) -> str | None:
        """The next line, without taking it; None at the end."""
        if not self._ahead:
            line = self._text.readline(LONGEST_ROW)
            if not line:
                return None
            self._ahead.append(line)
        return self._ahead[0]

    def take(self, count: int) -> list[str]:
        """Takes the next lines, each to its end, however long."""
        taken = [self._ahead.popleft() for _ in range(count)]
        self.number += count
        part = taken[-1]
        while not self._ahead and len(part) == LONGEST_ROW and not part.endswith(("\n", "\r")):
            part = self._text.readline(LONGEST_ROW)
        return taken


@dataclass(frozen=True)
class Dialect:
    """How the fields of a file are separated."""

    delimiter: str
    padded: bool = False
    """Whether a space follows each delimiter, which belongs to no field."""

    def record(self, lines: Iterable[str]) -> tuple[list[str], int]:
        """The fields of the record that begins with the first line, and the number of its lines.

        Raises:
            BadRecord: a quote is out of place, or not closed.
        """
        reader = csv.reader(lines, delimiter=self.delimiter, skipinitialspace=self.padded, strict=True)
        try:
            return next(reader, []), max(reader.line_num, 1)
        except csv.Error as error:
            raise BadRecord(f"a quote is out of place or not closed ({error})") from error

    def quoted_fields(self, record: str) -> Iterator[tuple[int, int, int]]:
        """The quoted fields of a record: which field it is, and where its text begins and ends."""
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
        """Whether a quote stands in a field that is not quoted."""
        quoted = sum(record.count('"', start, end) + 2 for _, start, end in self.quoted_fields(record))
        return record.count('"') != quoted


@dataclass(frozen=True)
class Header:
    """The fields that a file's columns stand for, in their order, and how its records are written."""

    names: tuple[str, ...]
    dialect: Dialect

    @property
    def enough(self) -> int:
        """The fewest fields that a row can have: spreadsheets leave out the empty ones at its end."""
        return 1 + max((self.names.index(name) for name in REQUIRED if name in self.names), default=0)

    def fits(self, count: int) -> bool:
        """Whether a row can have that many fields."""
        return self.enough <= count <= len(self.names)

    def check(self, fields: Sequence[str], lines: Lines, length: int) -> None:
        """Nothing, if the record of `length` lines is one row.

        A quote that a producer did not close swallows the rows up to the next quote. Their number of fields
        may fit by chance. So a record of several lines is refused where both of these hold: the line in
        which its quoted field begins has enough fields for a row of its own, and one of those that follow
        begins a row too. A text with line breaks has neither, unless it holds rows of such a file.

        Raises:
            BadRecord: it is not.
        """
        if length > 1 and self._swallows(lines.record(length), lines):
            raise BadRecord("a quote is not closed: the rows that follow would be part of this one")
        if not self.fits(len(fields)):
            found = f"found {len(fields)} fields, the header has {len(self.names)}"
            raise BadRecord(found, length)

    def _swallows(self, record: str, lines: Lines) -> bool:
        for index, start, end in self.dialect.quoted_fields(record):
            head, *rest = _LINE_BREAK.split(record[start:end])
            if rest and index + max(self.count(head), 1) >= self.enough:
                line = len(_LINE_BREAK.findall(record, 0, start))
                if any(self._begins_row(lines, line + nth) for nth in range(1, len(rest) + 1)):
                    return True
        return False

    def _begins_row(self, lines: Lines, position: int) -> bool:
        try:
            fields, _ = self.dialect.record(lines.ahead(position))
        except BadRecord:
            return False
        return self.fits(len(fields))

    def count(self, line: str) -> int:
        """The number of fields of a line by itself, wherever its quotes are."""
        return len(next(csv.reader([line], delimiter=self.dialect.delimiter), []))

    def is_fragment(self, line: str) -> bool:
        """Whether the line is too short for a row, even if every delimiter in it separates fields. One that
        may lack its last empty fields is a row if it has an item id and a status."""
        fields = [field.strip('" \r\n') for field in line.split(self.dialect.delimiter)]
        return len(fields) < len(self.names) and not (self.fits(len(fields)) and self.is_row(fields))

    def is_certain(self, fields: Sequence[str], length: int) -> bool:
        """Whether a record is a row, although quotes are out of place: a line by itself mixes no two rows."""
        return length == 1 and self.is_row(fields)

    def is_row(self, fields: Sequence[str]) -> bool:
        """Whether the fields have a valid item id and status where a row has them."""
        named = self.named(fields)
        return is_item_id(named.get("item_id", "").strip()) and named.get("status", "").strip() in _STATUSES

    def named(self, fields: Sequence[str]) -> dict[str, str]:
        """The fields by their names, without empty ones. A column without a name, such as a row number, or
        nothing after a last comma, is none."""
        return {name: value for name, value in zip(self.names, fields, strict=False) if name and value}


@dataclass
class Rejected:
    """Lines that are no record, from `start` to `end` except blank ones, and why."""

    start: int
    end: int
    lines: list[str]
    detail: str

    def row(self) -> Row:
        """As a row without an event."""
        place = f"line {self.start}" if self.start == self.end else f"lines {self.start} to {self.end}"
        return Row(None, "".join(self.lines).rstrip("\r\n"), "invalid_csv", self.detail, place)


def read_header(lines: Lines) -> Header | None:
    """The header: the first line that is not blank, after a `sep=` line where there is one. None in an empty
    file. The delimiter is the one that gives the most known names.

    Raises:
        UnreadableFile: the header cannot be read, or the `sep=` line names no delimiter.
    """
    delimiters: Sequence[str] = DELIMITERS
    while (line := lines.first()) is not None and (not line.strip() or _SEP_LINE.fullmatch(line)):
        if separator := _SEP_LINE.fullmatch(line):
            delimiters = separator[1]
        lines.take(1)
    if line is None:
        return None
    if _SEP.match(line):
        place, expected = f"line {lines.number + 1}", "sep= and one character that is not a quote or a space"
        raise UnreadableFile(f"{place}: found {line.strip()[:40]!r}, expected {expected}")
    headers = [found for delimiter in delimiters if (found := header_in(lines, delimiter))]
    if not headers:
        raise UnreadableFile(f"line {lines.number + 1}: a quote is out of place or not closed in the header")
    header, length = max(headers, key=lambda found: sum(map(is_known, found[0].names)))
    lines.take(length)
    return header


def header_in(lines: Lines, delimiter: str) -> tuple[Header, int] | None:
    """The header that comes next, if this is its delimiter, and the number of its lines."""
    padded = delimiter + " " in (lines.first() or "")
    dialect = Dialect(delimiter, padded)
    try:
        fields, length = dialect.record(lines.ahead())
    except BadRecord:
        return None
    return Header(tuple(map(field_of, fields)), dialect), length


def checked_header(text: TextIO) -> Header | None:
    """The header of a file of listings; None of an empty one.

    Raises:
        UnreadableFile: it lacks a column that every listing needs, or has one twice.
    """
    header = read_header(Lines(text))
    if header and (problem := column_problem(list(header.names))):
        raise UnreadableFile(problem)
    return header


def next_record(header: Header, lines: Lines, *, doubtful: bool) -> tuple[list[str], int]:
    """The fields of the next record and the number of its lines.

    Raises:
        BadRecord: there is none; or, where it is `doubtful`, it may be the rest of one.
    """
    fields, length = header.dialect.record(lines.ahead())
    if any(map(str.strip, fields)):
        header.check(fields, lines, length)
        uncertain = doubtful and not header.is_certain(fields, length)
        if uncertain and header.dialect.has_bare_quote(lines.record(length)):
            raise BadRecord("a quote is out of place, after a record that is not closed")
    return fields, length


def read_csv(text: TextIO) -> Iterator[Row]:
    """An event a record: category as "A > B > C", images between "|", columns named attributes.colour.

    After a bad record, reading continues with the line after its first. A record with bare quotes is then
    rejected too, since it may be the rest of a field, until one comes without them, or on a line that has a
    valid item id and status. Until then, lines that are too short for a row are taken as the rest of the
    record before them. Blank rows do not count.

    Raises:
        UnreadableFile: the header cannot be read.
    """
    csv.field_size_limit(LONGEST_ROW)
    lines = Lines(text)
    header = read_header(lines)
    rejected: Rejected | None = None
    while header and lines.first() is not None:
        start = lines.number + 1
        try:
            fields, length = next_record(header, lines, doubtful=rejected is not None)
        except BadRecord as error:
            # In doubt, its other lines may be rows.
            taken = lines.take(1 if rejected else error.length)
            if rejected and header.is_fragment(taken[0]):
                rejected.lines += taken
                rejected.end = lines.number
            else:
                if rejected:
                    yield rejected.row()
                rejected = Rejected(start, lines.number, taken, str(error))
            continue
        lines.take(length)
        if any(map(str.strip, fields)):
            if rejected:
                yield rejected.row()
                rejected = None
            yield Row(event_of(header.named(fields)), place=f"line {start}")
    if rejected:
        yield rejected.row()
