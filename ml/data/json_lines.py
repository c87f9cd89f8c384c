"""Reading the lines of JSONL files."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Final

from ml.errors import MlError

SUFFIXES: Final = frozenset({".jsonl", ".ndjson"})
"""Suffixes of JSONL files, in lower case."""

BOM: Final = b"\xef\xbb\xbf"
"""Byte order mark. Excel and PowerShell write it; JSON does not allow it (RFC 8259, section 8.1)."""


class NotUtf8(MlError):
    """A JSONL file in UTF-16."""


def json_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the number, from 1, and the bytes of each line that is not blank, without a byte order mark.

    Lines are bytes, so that one line that is not UTF-8 does not prevent reading the others.

    Raises:
        OSError: the file cannot be read.
        NotUtf8: the file is UTF-16.
    """
    with path.open("rb") as file:
        first = file.readline()
        if first.startswith((b"\xff\xfe", b"\xfe\xff")) and b"\0" in first[2:4]:
            raise NotUtf8(f"{path}: UTF-16, expected UTF-8; save it as UTF-8, then rerun")
        lines = enumerate(chain([first.removeprefix(BOM)] if first else [], file), start=1)
        yield from ((number, line) for number, line in lines if line.strip())
