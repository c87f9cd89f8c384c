"""The encoding of a text file: declared, or certain from its bytes. Nothing is decoded with replacement."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from charset_normalizer import from_bytes

from indexer.errors import UnreadableFile
from indexer.intake.row import LONGEST_ROW

UTF8 = "utf-8"
# UTF-32's little-endian mark begins with UTF-16's.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
MULTIBYTE = ("cp932", "euc_jp", "iso2022_jp", "gb18030", "big5", "cp949", "utf_16_le", "utf_16_be")
SINGLE_BYTE = ("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp874")
"""What spreadsheets and databases write where it is not UTF-8."""
SAMPLE = 64_000
"""Bytes that an encoding is guessed from."""


def encoding_of(path: Path, declared: str | None) -> str:
    """The encoding to read the file in: that of its byte order mark, else the declared one, else UTF-8."""
    with path.open("rb") as file:
        head = file.read(4)
    return next((name for mark, name in _MARKS if head.startswith(mark)), declared or UTF8)


def checked_lines(path: Path, encoding: str) -> int:
    """The number of lines of the file, all of which can be decoded.

    Raises:
        UnreadableFile: one cannot, or is ISO-2022-JP or UTF-16 that passes for UTF-8.
    """
    decoder = codecs.getincrementaldecoder(encoding)()
    count = 0
    with path.open("rb") as file:
        try:
            for count, line in enumerate(pieces(file), 1):
                decoder.decode(line)
                if encoding == UTF8 and is_disguised(line):
                    raise wrong_encoding(path, count, encoding)
            decoder.decode(b"", final=True)
        except UnicodeError as error:
            raise wrong_encoding(path, count, encoding) from error
    return count


def checked_json_lines(path: Path) -> int:
    """The number of lines of a file of JSON lines in UTF-8.

    A few lines that are not UTF-8 are damaged and rejected one by one when they are read. Where they
    outnumber the other lines with non-ASCII text, and the first of them is JSON in some other encoding, the
    file is in that one.

    Raises:
        UnreadableFile: it is.
    """
    count, good, bad, first_bad = 0, 0, 0, (0, b"")
    with path.open("rb") as file:
        for count, line in enumerate(pieces(file), 1):
            if line.isascii():
                if count == 1 and is_disguised(line):
                    raise wrong_encoding(path, count, UTF8)
            elif is_utf8(line):
                good += 1
            else:
                bad += 1
                first_bad = first_bad if first_bad[0] else (count, line)
    if bad > good and is_json_in(first_bad[1], looks_like(first_bad[1])):
        raise wrong_encoding(path, first_bad[0], UTF8)
    return count


def pieces(file: BinaryIO) -> Iterator[bytes]:
    """The lines of the file; a very long one in pieces."""
    return iter(lambda: file.readline(LONGEST_ROW), b"")


def is_disguised(line: bytes) -> bool:
    """Whether the bytes are ASCII that stands for other text: ISO-2022-JP, or UTF-16 without its mark."""
    return b"\x1b$" in line or b"\x1b(" in line or b"\0" in line[:2]


def is_utf8(line: bytes) -> bool:
    """Whether the bytes are UTF-8."""
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def is_json_in(line: bytes, encoding: str | None) -> bool:
    """Whether the line is JSON once it is decoded."""
    try:
        json.loads(line.decode(encoding or "ascii"))
    except (ValueError, RecursionError):
        return False
    return True


def wrong_encoding(path: Path, line: int, encoding: str) -> UnreadableFile:
    """What to tell of a file that is not in the encoding."""
    with path.open("rb") as file:
        guess = looks_like(sample(file))
    if guess is None:
        step = "pass --encoding with the name of its encoding, or save it as UTF-8"
        return UnreadableFile(f"line {line} is not {encoding}; {step}")
    step = f"it looks like {guess}: pass --encoding {guess} if it is, or save it as UTF-8"
    return UnreadableFile(f"line {line} is not {encoding}; {step}")


def sample(file: BinaryIO) -> bytes:
    """The first lines that are not plain ASCII, which tell one encoding from another."""
    found = bytearray()
    for number, line in enumerate(pieces(file)):
        if number == 0 or not line.isascii() or is_disguised(line):
            found += line
        if len(found) > SAMPLE:
            break
    return bytes(found[:SAMPLE])


def looks_like(data: bytes) -> str | None:
    """The encoding that the bytes are most likely in, by its Python name; None where nothing fits.

    Short Western text fits the pages of Eastern Europe too. Western is the more frequent one, so that it is
    preferred wherever it gives letters.
    """
    best = from_bytes(data, cp_isolation=[*MULTIBYTE, *SINGLE_BYTE]).best()
    if best is None:
        return None
    return "cp1252" if best.encoding in SINGLE_BYTE and is_western(data) else best.encoding


def is_western(data: bytes) -> bool:
    """Whether everything but ASCII is letters in Windows' Western page."""
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError:
        return False
    return all(character.isascii() or character.isalpha() for character in text)
