"""Files with a JSON object on each line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from indexer.intake.listing_map import ListingMap
from indexer.intake.row import MAX_ROW_LENGTH, Checked, Row
from indexer.intake.text import UTF8, checked_encoding, checked_json_lines, encoding_of, open_text
from mappings.json_problems import NOT_JSON, not_json
from queues.messages import is_deeper

# No listing is nested deeper than three levels. Much deeper JSON breaks the encoders that it passes through.
MAX_DEPTH = 50


def check(path: Path, rules: ListingMap) -> Checked:
    """Return the number of lines of the file.

    Raises:
        UnreadableFile: it is in another encoding.
    """
    declared = rules.formats.encoding
    if encoding_of(path, declared) == UTF8:
        return Checked(checked_json_lines(path))
    encoding, lines = checked_encoding(path, declared)
    return Checked(lines, encoding)


def rows(path: Path, rules: ListingMap) -> Iterator[Row]:
    """Yield the object on each line that is not blank.

    Bytes that cannot be decoded become surrogates, so that only the lines with such bytes are rejected.
    """
    with open_text(path, rules.formats.encoding, errors="surrogateescape", newline="\n") as text:
        number = 0
        while line := text.readline(MAX_ROW_LENGTH):
            number += 1
            if len(line) == MAX_ROW_LENGTH and not line.endswith("\n"):
                detail = f"longer than {MAX_ROW_LENGTH:,} characters"
                yield Row(None, readable(line), "line_too_long", detail, f"line {number}")
                skip_line(text)
            elif line.strip():
                yield parse_line(line, f"line {number}")


def skip_line(text: TextIO) -> None:
    """Read to the end of the line."""
    while (part := text.readline(MAX_ROW_LENGTH)) and not part.endswith("\n"):
        pass


def parse_line(line: str, location: str = "") -> Row:
    """Return the row with the event on a line, or why the line is not a JSON object."""
    if is_damaged(line):
        detail = "not UTF-8; if the file is in another encoding, pass --encoding"
        return Row(None, readable(line), "invalid_utf8", detail, location)
    try:
        value = json.loads(line.rstrip("\n"))
    except NOT_JSON as error:
        detail = f"found {not_json(error, of_line=True)}, expected an object"
        return Row(None, readable(line), "invalid_json", detail, location)
    return row_of(value, readable(line), location)


def row_of(value: object, raw: str, location: str) -> Row:
    """Return the row with a JSON object, or why the value is not one."""
    deep = is_deeper(value, MAX_DEPTH)
    if not isinstance(value, dict) or deep:
        found = "JSON nested too deeply" if deep else f"JSON of type {type(value).__name__}"
        return Row(None, raw, "invalid_json", f"found {found}, expected an object", location)
    return Row(value, location=location)


def is_damaged(line: str) -> bool:
    """Return whether the line has bytes that could not be decoded."""
    return not line.isascii() and any("\udc80" <= character <= "\udcff" for character in line)


def readable(line: str) -> str:
    r"""Return the line with each byte that could not be decoded as `\xff`."""
    return line.rstrip("\n").encode(errors="surrogateescape").decode(errors="backslashreplace")
