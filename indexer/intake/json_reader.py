"""Reading of JSON values one after another, in constant memory."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final, TextIO

from indexer.intake.row import MAX_ROW_LENGTH
from mappings.json_problems import not_json

SPACE: Final = re.compile(r"[\s\ufeff]*")
BETWEEN: Final = re.compile(r"[\s,]*")
"""What is between two values."""
_DECODER = json.JSONDecoder()
_PART = 2**16
"""Characters that are read at once."""


class Damaged(ValueError):
    """The text is not JSON, or has a value of more than MAX_ROW_LENGTH characters."""


class JsonReader:
    """A position in a text."""

    def __init__(self, text: TextIO) -> None:
        self._text = text
        self._buffer = ""
        self._position = 0

    def peek(self, skipped: re.Pattern[str] = SPACE) -> str:
        """Skip characters, and return the next one; an empty text at the end."""
        while True:
            match = skipped.match(self._buffer, self._position)
            self._position = match.end() if match else self._position
            if self._position < len(self._buffer) or not self._fill():
                return self._buffer[self._position : self._position + 1]

    def expect(self, character: str) -> None:
        """Skip spaces and this character.

        Raises:
            Damaged: another one is there.
        """
        if self.peek() != character:
            raise Damaged(f"found {self.rest(40)!r}, expected {character!r}")
        self._position += 1

    def value(self) -> object:
        """Return the next value.

        Raises:
            Damaged: there is none.
        """
        while True:
            try:
                value, end = _DECODER.raw_decode(self._buffer, self._position)
            except (ValueError, RecursionError) as error:
                if len(self._buffer) - self._position < MAX_ROW_LENGTH and self._fill():
                    continue  # the rest of the value is read now
                raise Damaged(_found(error)) from error
            if end == len(self._buffer) and self._fill():
                continue  # it may have been the first digits of a number
            self._position = end
            return value

    def array(self) -> Iterator[object]:
        """Yield the values of the array that begins here.

        Raises:
            Damaged: one of them is not JSON, or the array does not end.
        """
        self.expect("[")
        while (following := self.peek(BETWEEN)) != "]":
            if not following:
                raise CutOff("it does not end")
            yield self.value()
        self.expect("]")

    def members(self) -> Iterator[str]:
        """Yield the name of each member of the object that begins here. The caller reads its value.

        Raises:
            Damaged: it is not an object.
        """
        self.expect("{")
        while self.peek(BETWEEN) != "}":
            self.peek()
            name = self.value()
            if not isinstance(name, str):
                raise Damaged(f"found {name!r:.40}, expected a name")
            self.expect(":")
            yield name
        self.expect("}")

    def rest(self, length: int) -> str:
        """Return what comes next, in at most so many characters."""
        return self._buffer[self._position : self._position + length].strip()

    def _fill(self) -> bool:
        """Read more, and return whether there was more."""
        self._buffer = self._buffer[self._position :]
        self._position = 0
        part = self._text.read(max(_PART, len(self._buffer)))
        self._buffer += part
        return bool(part)


class CutOff(Damaged):
    """The text ends within an array."""


def _found(error: ValueError | RecursionError) -> str:
    """Return what was found instead of a value. The place in the buffer is none in the file."""
    if not isinstance(error, json.JSONDecodeError):
        return not_json(error)
    rest = error.doc[error.pos : error.pos + 40].strip()
    return f"invalid JSON at {rest!r}" if rest else "it ends too early"
