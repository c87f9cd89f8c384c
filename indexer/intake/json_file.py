"""JSON files: an array of objects, such an array in an object, or objects one after another."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from indexer.errors import UnreadableFile
from indexer.intake.json_reader import BETWEEN, CutOff, Damaged, JsonReader
from indexer.intake.jsonl import row_of
from indexer.intake.listing_map import ListingMap
from indexer.intake.row import Checked, Row
from indexer.intake.text import checked_encoding, open_text


def check(path: Path, rules: ListingMap) -> Checked:
    """Return the number of objects in the file.

    Raises:
        UnreadableFile: it is in another encoding, or it is not JSON. Where an array is damaged, nothing says
            where its next object begins, so it is refused as a whole.
    """
    encoding, _ = checked_encoding(path, rules.formats.encoding)
    return Checked(sum(1 for _ in rows(path, rules)), encoding, wrapping(path, rules))


def rows(path: Path, rules: ListingMap) -> Iterator[Row]:
    """Yield the objects of the file.

    Raises:
        UnreadableFile: it is not JSON.
    """
    name = wrapping(path, rules)
    with open_text(path, rules.formats.encoding) as text:
        for number, value in enumerate(values(text) if name is None else values_of(text, name), 1):
            raw = "" if isinstance(value, dict | list) else str(value)
            yield row_of(value, raw, f"item {number}")


def wrapping(path: Path, rules: ListingMap) -> str | None:
    """Return the name of the list that the listings are in, as in `{"total": 2, "items": [{…}, {…}]}`.

    The file must be one object that has no item id, and exactly one list of objects. None if it is not.
    """
    with open_text(path, rules.formats.encoding) as text:
        reader = JsonReader(text)
        if reader.peek() != "{":
            return None
        names: list[str] = []
        lists: list[str] = []
        try:
            for name in reader.members():
                names.append(name)
                is_list = reader.peek() == "["
                kinds = {type(value) for value in values_at(reader)}
                lists += [name] if is_list and kinds <= {dict} else []
        except Damaged:
            return None
        is_listing = any(rules.field_of(name) == "item_id" for name in names)
        return lists[0] if len(lists) == 1 and not is_listing and not reader.peek() else None


def values_at(reader: JsonReader) -> Iterator[object]:
    """Yield the values of the array that begins here, or the one value that is no array.

    Raises:
        Damaged: it is not JSON.
    """
    if reader.peek() == "[":
        yield from reader.array()
    else:
        yield reader.value()


def values_of(text: TextIO, wanted: str) -> Iterator[object]:
    """Yield the values of a list in an object that `wrapping` has read."""
    reader = JsonReader(text)
    for name in reader.members():
        if name == wanted:
            yield from reader.array()
            return
        deque(values_at(reader), maxlen=0)


def values(text: TextIO) -> Iterator[object]:
    """Yield the values of an array, or of JSON texts one after another, in constant memory.

    Raises:
        UnreadableFile: there is something else, or a value of more than MAX_ROW_LENGTH characters.
    """
    reader = JsonReader(text)
    number = 0
    in_array = reader.peek() == "["
    try:
        for value in reader.array() if in_array else one_after_another(reader):
            number += 1
            yield value
    except CutOff as error:
        raise UnreadableFile(f"the array does not end after item {number}: the file is cut off") from error
    except Damaged as error:
        raise UnreadableFile(f"item {number + 1} is not JSON ({error})") from error
    if reader.peek():
        raise UnreadableFile(f"something follows the array of {number:,} items: {reader.rest(40)!r}")


def one_after_another(reader: JsonReader) -> Iterator[object]:
    """Yield the values up to the end.

    Raises:
        Damaged: something is not JSON.
    """
    while reader.peek(BETWEEN):
        yield reader.value()
