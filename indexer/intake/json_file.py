"""JSON files: an array of objects, or objects one after another."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from indexer.errors import UnreadableFile
from indexer.intake.jsonl import row_of
from indexer.intake.listing_map import ListingMap
from indexer.intake.row import MAX_ROW_LENGTH, Checked, Row
from indexer.intake.text import checked_encoding, open_text

_SPACE = re.compile(r"[\s\ufeff]*")
_BETWEEN = re.compile(r"[\s,]*")
_DECODER = json.JSONDecoder()
_PART = 2**16
"""Characters that are read at once."""


def check(path: Path, rules: ListingMap) -> Checked:
    """Return the number of objects in the file.

    Raises:
        UnreadableFile: it is in another encoding, or it is not JSON. Where an array is damaged, nothing says
            where its next object begins, so it is refused as a whole.
    """
    encoding, _ = checked_encoding(path, rules.formats.encoding)
    return Checked(sum(1 for _ in rows(path, rules)), encoding)


def rows(path: Path, rules: ListingMap) -> Iterator[Row]:
    """Yield the objects of the file.

    Raises:
        UnreadableFile: it is not JSON.
    """
    with open_text(path, rules.formats.encoding) as text:
        for number, value in enumerate(values(text), 1):
            raw = "" if isinstance(value, dict | list) else str(value)
            yield row_of(value, raw, f"item {number}")


def values(text: TextIO) -> Iterator[object]:
    """Yield the values of an array, or of JSON texts one after another, in constant memory.

    Raises:
        UnreadableFile: there is something else, or a value of more than MAX_ROW_LENGTH characters.
    """
    number = 0
    buffer, in_array = opening(text)
    while True:
        part = text.read(max(_PART, len(buffer)))
        buffer += part
        position = _end(_BETWEEN, buffer)
        while position < len(buffer) and not (in_array and buffer[position] == "]"):
            try:
                value, end = _DECODER.raw_decode(buffer, position)
            except (ValueError, RecursionError) as error:
                if part and len(buffer) - position < MAX_ROW_LENGTH:
                    break  # the rest of the value is not read yet
                raise UnreadableFile(f"item {number + 1} is not JSON ({_said(error)})") from error
            if end == len(buffer) and part:
                break  # it may be the first digits of a number
            number += 1
            yield value
            position = _end(_BETWEEN, buffer, end)
        buffer = buffer[position:]
        if in_array and buffer.startswith("]"):
            return check_end(buffer[1:], text, number)
        if not part:
            if in_array:
                raise UnreadableFile(f"the array does not end after item {number}: the file is cut off")
            return None


def opening(text: TextIO) -> tuple[str, bool]:
    """Return the beginning of the text after spaces and an opening bracket, and whether there is one."""
    start = text.read(_PART)
    start = start[_end(_SPACE, start) :]
    return (start[1:], True) if start.startswith("[") else (start, False)


def check_end(rest: str, text: TextIO, number: int) -> None:
    """Check that nothing but space follows an array.

    Raises:
        UnreadableFile: something does.
    """
    while rest:
        if rest.strip():
            raise UnreadableFile(f"something follows the array of {number:,} items: {rest.strip()[:40]!r}")
        rest = text.read(_PART)


def _end(pattern: re.Pattern[str], text: str, start: int = 0) -> int:
    """Return the end of a match that may be empty."""
    match = pattern.match(text, start)
    return match.end() if match else start


def _said(error: Exception) -> str:
    return error.msg if isinstance(error, json.JSONDecodeError) else type(error).__name__
