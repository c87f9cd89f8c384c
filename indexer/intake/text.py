"""Text files: their compression, and their encoding, declared or certain from their bytes.

No byte is decoded with replacement.
"""

from __future__ import annotations

import codecs
import gzip
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, cast

import pyarrow as pa
from charset_normalizer import from_bytes

from indexer.errors import UnreadableFile
from indexer.intake.row import MAX_ROW_LENGTH

UTF8 = "utf-8"
# The order matters: the little-endian mark of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
MULTIBYTE = ("cp932", "euc_jp", "iso2022_jp", "gb18030", "big5", "cp949", "utf_16_le", "utf_16_be")
SINGLE_BYTE = ("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp874")
"""The encodings other than UTF-8 that spreadsheets and databases write."""
SAMPLE = 64_000
"""The number of bytes from which an encoding is guessed."""
SCANNED = 2**26
"""Bytes in which lines for the sample are looked for."""

COMPRESSED: Final = frozenset({".gz", ".zst", ".zstd"})
MAX_RATIO: Final = 200
"""Bytes of a file for each of its compressed ones. Listings have about 5 to 30."""
ALWAYS_UNPACKED: Final = 64 * 2**20
"""Bytes that a file may have whatever its compressed size."""

JAPANESE: Final = ("cp932", "euc_jp")
_KANA = re.compile("[\u3041-\u30fe]")
KANA_SHARE: Final = 0.2
"""Of the characters that are not ASCII, in Japanese text. Japanese in the other encoding has next to none, as
have Chinese and Korean in these."""


class Unpacked(io.RawIOBase):
    """The bytes of a compressed file, up to a limit."""

    def __init__(self, path: Path) -> None:
        file = path.open("rb")
        self._stream = gzip.GzipFile(fileobj=file) if path.suffix.lower() == ".gz" else _zstd(file)
        self._file = file
        self._left = max(ALWAYS_UNPACKED, MAX_RATIO * path.stat().st_size)

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        """Read the next bytes.

        Raises:
            UnreadableFile: the file is larger than the limit.
        """
        data = self._stream.read(len(buffer))
        self._left -= len(data)
        if self._left < 0:
            raise UnreadableFile(
                f"it unpacks to more than {MAX_RATIO} times its size; if that is right, unpack it first"
            )
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


def _zstd(file: BinaryIO) -> BinaryIO:
    """Return the bytes of a zstd file. Windows of more than 128 MiB are refused."""
    return cast(BinaryIO, pa.CompressedInputStream(file, "zstd"))


def open_bytes(path: Path) -> BinaryIO:
    """Open the file for reading, unpacked if it is compressed by its name."""
    if path.suffix.lower() in COMPRESSED:
        return cast(BinaryIO, io.BufferedReader(Unpacked(path), 2**18))
    return path.open("rb")


def open_text(
    path: Path, declared: str | None, *, errors: str = "strict", newline: str = ""
) -> io.TextIOWrapper:
    """Open the file as text with unchanged line breaks."""
    return io.TextIOWrapper(open_bytes(path), encoding_of(path, declared), errors=errors, newline=newline)


def encoding_of(path: Path, declared: str | None) -> str:
    """Return the encoding of the file.

    That of its byte order mark, else the declared one, else a Japanese one if it is certain, else UTF-8.
    """
    with open_bytes(path) as file:
        head = file.read(4)
    if marked := next((name for mark, name in _MARKS if head.startswith(mark)), declared):
        return marked
    with open_bytes(path) as file:
        return japanese(sample(file)) or UTF8


def checked_encoding(path: Path, declared: str | None) -> tuple[str | None, int]:
    """Return the encoding of the file if it is detected, and the number of its lines.

    Raises:
        UnreadableFile: a line cannot be decoded, or it is ISO-2022-JP or UTF-16 that is also valid UTF-8.
    """
    encoding = encoding_of(path, declared)
    count = checked_lines(path, encoding)
    return encoding if encoding in JAPANESE and declared is None else None, count


def japanese(data: bytes) -> str | None:
    """Return cp932 or euc_jp if the text is certain to be in it.

    Most of its lines are not UTF-8, all are in this encoding and, as Japanese is, partly in kana, and the
    other one does not fit as well.
    """
    lines = [line for line in data.splitlines() if not line.isascii()]
    if not lines or 2 * sum(map(is_utf8, lines)) >= len(lines):
        return None
    found = [name for name in JAPANESE if kana_share(data, name) >= KANA_SHARE]
    return found[0] if len(found) == 1 else None


def kana_share(data: bytes, encoding: str) -> float:
    """Return the share of kana among the characters that are not ASCII; 0 if the encoding does not fit.

    The last line of a sample may be cut off.
    """
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(data)
    except UnicodeDecodeError:
        return 0.0
    others = [character for character in text if not character.isascii()]
    return len(_KANA.findall(text)) / max(len(others), 1)


def checked_lines(path: Path, encoding: str) -> int:
    """Return the number of lines of the file.

    Raises:
        UnreadableFile: a line cannot be decoded, or it is ISO-2022-JP or UTF-16 that is also valid UTF-8.
    """
    decoder = codecs.getincrementaldecoder(encoding)()
    count = 0
    with open_bytes(path) as file:
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
    """Return the number of lines of a file of JSON lines in UTF-8.

    A few lines that are not UTF-8 count as damaged and are rejected one by one when they are read. If they
    outnumber the other lines with non-ASCII text, and the first of them is JSON in another encoding, the
    whole file is in that encoding.

    Raises:
        UnreadableFile: the file is in another encoding.
    """
    count, good, bad, first_bad = 0, 0, 0, (0, b"")
    with open_bytes(path) as file:
        for count, line in enumerate(pieces(file), 1):
            if line.isascii():
                if count == 1 and is_disguised(line):
                    raise wrong_encoding(path, count, UTF8)
            elif is_utf8(line):
                good += 1
            else:
                bad += 1
                first_bad = first_bad if first_bad[0] else (count, line)
    if bad > good and is_json_in(first_bad[1], guessed_encoding(first_bad[1])):
        raise wrong_encoding(path, first_bad[0], UTF8)
    return count


def pieces(file: BinaryIO) -> Iterator[bytes]:
    """Yield the lines of the file; a very long one in pieces."""
    return iter(lambda: file.readline(MAX_ROW_LENGTH), b"")


def is_disguised(line: bytes) -> bool:
    """Return whether the bytes are text in ISO-2022-JP, or in UTF-16 without a byte order mark.

    Both are valid ASCII.
    """
    return b"\x1b$" in line or b"\x1b(" in line or b"\0" in line[:2]


def is_utf8(line: bytes) -> bool:
    """Return whether the bytes are UTF-8."""
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def is_json_in(line: bytes, encoding: str | None) -> bool:
    """Return whether the line is JSON in the encoding."""
    try:
        json.loads(line.decode(encoding or "ascii"))
    except (ValueError, RecursionError):
        return False
    return True


def wrong_encoding(path: Path, line: int, encoding: str) -> UnreadableFile:
    """Return the error for a file that is not in the encoding, with a guess at the one it is in."""
    with open_bytes(path) as file:
        guess = guessed_encoding(sample(file))
    if guess is None:
        step = "pass --encoding with the name of its encoding, or save it as UTF-8"
        return UnreadableFile(f"line {line} is not {encoding}; {step}")
    step = f"it looks like {guess}: pass --encoding {guess} if it is, or save it as UTF-8"
    return UnreadableFile(f"line {line} is not {encoding}; {step}")


def sample(file: BinaryIO) -> bytes:
    """Return the first line and the first lines that are not plain ASCII, which identify the encoding."""
    found = bytearray()
    scanned = 0
    for number, line in enumerate(pieces(file)):
        scanned += len(line)
        if number == 0 or not line.isascii() or is_disguised(line):
            found += line
        if len(found) > SAMPLE or scanned > SCANNED:
            break
    return bytes(found[:SAMPLE])


def guessed_encoding(data: bytes) -> str | None:
    """Return the Python name of the most likely encoding; None if none fits.

    Short Western text is also valid in the code pages of Eastern Europe. Western text is more frequent, so
    that code page is preferred whenever it decodes to letters.
    """
    best = from_bytes(data, cp_isolation=[*MULTIBYTE, *SINGLE_BYTE]).best()
    if best is None:
        return None
    return "cp1252" if best.encoding in SINGLE_BYTE and is_western(data) else best.encoding


def is_western(data: bytes) -> bool:
    """Return whether all non-ASCII characters are letters in Windows' Western code page."""
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError:
        return False
    return all(character.isascii() or character.isalpha() for character in text)
