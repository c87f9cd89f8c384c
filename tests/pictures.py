"""Photos in every format, made here."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterable

import numpy as np
import pillow_heif
from PIL import Image

from ml.inference.decoding.colour import PRIMARIES, matrix_profile, power_curve, srgb_curve

PROFILES = {
    "Display P3": matrix_profile(np.array(PRIMARIES[12]), srgb_curve),
    "Adobe RGB": matrix_profile(
        np.array([(0.64, 0.33), (0.21, 0.71), (0.15, 0.06), (0.3127, 0.329)]), power_curve(563 / 256)
    ),
    "ProPhoto": matrix_profile(
        np.array([(0.734699, 0.265301), (0.159597, 0.840403), (0.036598, 0.000105), (0.345704, 0.358540)]),
        power_curve(1.8),
    ),
}


def encode(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """The image as a file; HEIC by pillow_heif, the rest by Pillow."""
    buffer = io.BytesIO()
    if kind == "HEIC":
        pillow_heif.from_pillow(image).save(buffer, **options)
    else:
        image.save(buffer, kind, **options)
    return buffer.getvalue()


def noise(side: int = 64) -> Image.Image:
    """A picture without any order."""
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (side, side, 3), dtype=np.uint8))


def smooth(width: int = 320, height: int = 240) -> Image.Image:
    """A picture of soft, muted patches, as of cloth; no two corners are alike."""
    patches = np.random.default_rng(5).integers(60, 200, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(patches).resize((width, height), Image.Resampling.BICUBIC)


def png_chunk(kind: bytes, body: bytes, crc: int | None = None) -> bytes:
    """A chunk, with the right checksum or another."""
    checksum = zlib.crc32(kind + body) if crc is None else crc
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", checksum)


def png_with(png: bytes, *chunks: bytes) -> bytes:
    """The PNG with chunks put in behind its header."""
    return png[:33] + b"".join(chunks) + png[33:]


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds no pixels."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", zlib.compress(b"")) + png_chunk(b"IEND", b"")


def icc_profile(space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    """An ICC profile, version 2, of a device."""
    offset, entries, content = 132 + 12 * len(tags), b"", b""
    for tag, body in tags.items():
        entries += tag + struct.pack(">II", offset + len(content), len(body))
        content += body
    head = struct.pack(">I4sI4s4s4s", offset + len(content), b"", 0x02400000, b"prtr", space, connection)
    head += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 63_190, 65_536, 54_061)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + entries + content


def box(kind: bytes, *content: bytes) -> bytes:
    """A box of an ISO base media file."""
    body = b"".join(content)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def ftyp(major: bytes, compatible: Iterable[bytes] = ()) -> bytes:
    """The first box of a HEIF, AVIF or film."""
    return box(b"ftyp", major, bytes(4), *compatible)


def striped_jpeg(width: int, rows: int) -> bytes:
    """A baseline JPEG of 16 × `rows` lines, made without holding its pixels: one row, again and again.

    Each row is a restart interval, so that its bytes do not depend on the rows before.
    """
    line = noise(16).resize((width, 16), Image.Resampling.NEAREST)
    data = encode(line, "JPEG", quality=60, subsampling=2, restart_marker_rows=1)
    frame = data.index(b"\xff\xc0")
    scan = data.index(b"\xff\xda") + 14
    head = data[: frame + 5] + struct.pack(">H", 16 * rows) + data[frame + 7 : scan]
    stripe = data[scan:-2]
    restarts = (b"" if row == 0 else bytes([0xFF, 0xD0 + (row - 1) % 8]) for row in range(rows))
    return head + b"".join(restart + stripe for restart in restarts) + b"\xff\xd9"
