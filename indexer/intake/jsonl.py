"""Files with a JSON object on each line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TextIO

from indexer.intake.row import MAX_ROW_LENGTH, Row
from queues.messages import is_deeper

# No listing is nested deeper than three levels. Much deeper JSON breaks the encoders that it passes through.
MAX_DEPTH = 50


def read_jsonl(text: TextIO) -> Iterator[Row]:
    """Yield an event for each line that is not blank. In `text`, bytes that are not UTF-8 are surrogates."""
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
        event = json.loads(line)
        deep = is_deeper(event, MAX_DEPTH)
    except json.JSONDecodeError as error:
        detail = f"{error.msg} at character {error.pos + 1}"  # its own text says line 1 of this line
        return Row(None, readable(line), "invalid_json", detail, location)
    except (ValueError, RecursionError) as error:
        return Row(None, readable(line), "invalid_json", f"{type(error).__name__}: {error}", location)
    if not isinstance(event, dict) or deep:
        found = "JSON nested too deeply" if deep else f"JSON of type {type(event).__name__}"
        return Row(None, readable(line), "invalid_json", f"found {found}, expected an object", location)
    return Row(event, location=location)


def is_damaged(line: str) -> bool:
    """Return whether the line has bytes that could not be decoded."""
    return not line.isascii() and any("\udc80" <= character <= "\udcff" for character in line)


def readable(line: str) -> str:
    r"""Return the line with each byte that could not be decoded as `\xff`."""
    return line.rstrip("\n").encode(errors="surrogateescape").decode(errors="backslashreplace")


def names_in(text: TextIO, lines: int) -> set[str]:
    """Return the names of the fields in the first lines."""
    names: set[str] = set()
    for _, row in zip(range(lines), read_jsonl(text), strict=False):
        names.update(row.event or ())
    return names
