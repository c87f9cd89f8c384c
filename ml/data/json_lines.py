"""The lines of a JSONL file, for every reader of the package."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Final

from ml.errors import MlError

SUFFIXES: Final = frozenset({".jsonl", ".ndjson"})
"""In any case."""

BOM: Final = b"\xef\xbb\xbf"
"""Excel and PowerShell write it before UTF-8; JSON does not allow it (RFC 8259, section 8.1)."""


class NotUtf8(MlError):
    """A file of JSON lines in UTF-16."""


def json_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Number, from 1, and bytes of each line that is not blank, without a byte order mark.

    Bytes, so that a line that is not UTF-8 is one bad line and not the end.

    Raises:
        OSError: the file cannot be read.
        NotUtf8: it is UTF-16.
    """
    with path.open("rb") as file:
        first = file.readline()
        if first.startswith((b"\xff\xfe", b"\xfe\xff")) and b"\0" in first[2:4]:
            raise NotUtf8(f"{path}: is UTF-16, expected UTF-8; save it as UTF-8, then rerun")
        lines = enumerate(chain([first.removeprefix(BOM)] if first else [], file), start=1)
        yield from ((number, line) for number, line in lines if line.strip())
