"""Files with a JSON object on each line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TextIO

from indexer.intake.row import LONGEST_ROW, Row
from queues.messages import is_deeper

# No listing nests deeper than three; far deeper JSON breaks the encoders on its way.
MAX_DEPTH = 50


def read_jsonl(text: TextIO) -> Iterator[Row]:
    """An event a line; blank lines do not count. `text` escapes bytes that it cannot decode as surrogates."""
    number = 0
    while line := text.readline(LONGEST_ROW):
        number += 1
        if len(line) == LONGEST_ROW and not line.endswith("\n"):
            detail = f"found over {LONGEST_ROW:,} characters"
            yield Row(None, readable(line), "line_too_long", detail, f"line {number}")
            skip_line(text)
        elif line.strip():
            yield parse_line(line, f"line {number}")


def skip_line(text: TextIO) -> None:
    """Moves to the end of the line."""
    while (part := text.readline(LONGEST_ROW)) and not part.endswith("\n"):
        pass


def parse_line(line: str, place: str = "") -> Row:
    """The event on a line, if it is a JSON object."""
    if is_damaged(line):
        detail = "found bytes that are not UTF-8; if the file is in another encoding, pass --encoding"
        return Row(None, readable(line), "invalid_utf8", detail, place)
    try:
        event = json.loads(line)
        deep = is_deeper(event, MAX_DEPTH)
    except json.JSONDecodeError as error:
        detail = f"{error.msg} at character {error.pos + 1}"  # its own text says line 1 of this line
        return Row(None, readable(line), "invalid_json", detail, place)
    except (ValueError, RecursionError) as error:
        return Row(None, readable(line), "invalid_json", f"{type(error).__name__}: {error}", place)
    if not isinstance(event, dict) or deep:
        found = "JSON nested too deep" if deep else f"JSON of type {type(event).__name__}"
        return Row(None, readable(line), "invalid_json", f"found {found}, expected an object", place)
    return Row(event, place=place)


def is_damaged(line: str) -> bool:
    """Whether bytes of the line were not decoded."""
    return not line.isascii() and any("\udc80" <= character <= "\udcff" for character in line)


def readable(line: str) -> str:
    r"""The line, with each byte that was not decoded as `\xff`."""
    return line.rstrip("\n").encode(errors="surrogateescape").decode(errors="backslashreplace")


def names_in(text: TextIO, lines: int) -> set[str]:
    """The names of the fields in the first lines."""
    names: set[str] = set()
    for _, row in zip(range(lines), read_jsonl(text), strict=False):
        names.update(row.event or ())
    return names
