"""Photos of odd sizes, and of so many parts or pixels that they would take long or fill the memory."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from itertools import product
from typing import Final

from PIL import Image

from tests.hostile.photo import DAMAGED, FORMATS, LIMITS, USED, HostilePhoto, one, plain
from tests.pictures import encode, png_chunk, png_header, png_with, smooth, striped_jpeg


def resized_header(kind: str, width: int, height: int) -> bytes:
    """A photo whose header claims another size."""
    data = bytearray(plain(kind))
    if kind == "JPEG":
        struct.pack_into(">HH", data, data.index(b"\xff\xc0") + 5, height & 0xFFFF, width & 0xFFFF)
    elif kind == "GIF":
        struct.pack_into("<HH", data, 6, width & 0xFFFF, height & 0xFFFF)
    elif kind == "BMP":
        struct.pack_into("<ii", data, 18, width, height)
    elif kind == "WEBP":
        canvas = struct.pack("<I", width - 1 & 0xFFFFFF)[:3] + struct.pack("<I", height - 1 & 0xFFFFFF)[:3]
        extended = b"VP8X" + struct.pack("<I", 10) + bytes(4) + canvas
        data[12:12] = extended
        struct.pack_into("<I", data, 4, len(data) - 8)
    elif kind == "PNG":
        return png_header(width, height)
    else:
        struct.pack_into(">II", data, data.index(b"ispe") + 8, width, height)
    return bytes(data)


SIDES: Final = (
    (0, 0),
    (0, 500),
    (500, 0),
    (65_535, 65_535),
    (20_000, 20_000),
    (1_000_000, 300),
    (16_001, 16_001),
)


def bombs() -> Iterator[HostilePhoto]:
    """Headers that claim no pixels, or more than any memory has."""
    for kind, (width, height) in product(FORMATS, SIDES):
        name = f"{kind} that claims {width} × {height}"
        # Decoders differ in which of two sizes in a file they believe; the smaller is decoded.
        yield one(name, lambda k=kind, w=width, h=height: resized_header(k, w, h), USED, *LIMITS, *DAMAGED)
    for width, height in ((2**31 - 1, 2**31 - 1), (2**31 - 1, 1), (1, 2**31 - 1), (100_000, 10_000)):
        name = f"PNG header of {width} × {height}"
        yield one(name, lambda w=width, h=height: png_header(w, h), *LIMITS, "photo_truncated")


def compressed_bombs() -> Iterator[HostilePhoto]:
    """Few bytes that expand to hundreds of megabytes; those within the limits are decoded."""
    for side in (4_000, 9_000, 12_000, 15_000):
        yield one(f"PNG of {side}² zeros", lambda s=side: zero_png(s), USED, "photo_too_many_pixels")
    for rows in (100, 400, 1_024):
        yield one(
            f"JPEG of {rows} rows", lambda r=rows: striped_jpeg(8_160, r), USED, "photo_too_many_pixels"
        )
    for megabytes in (1, 10, 100, 400):

        def text(size: int = megabytes) -> bytes:
            return png_with(plain("PNG"), png_chunk(b"zTXt", b"Comment\0\0" + deflated_zeros(size)))

        def profile(size: int = megabytes) -> bytes:
            return png_with(plain("PNG"), png_chunk(b"iCCP", b"icc\0\0" + deflated_zeros(size)))

        yield one(f"PNG with {megabytes} MB of text", text, USED)
        yield one(f"PNG with a profile of {megabytes} MB", profile, USED)


def deflated_zeros(megabytes: int) -> bytes:
    """So many zeros, compressed a thousandfold."""
    packer = zlib.compressobj(9)
    return b"".join([*(packer.compress(bytes(1_000_000)) for _ in range(megabytes)), packer.flush()])


def zero_png(side: int) -> bytes:
    """A black PNG, in a few hundred kilobytes."""
    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(1 + 3 * side)) for _ in range(side)) + packer.flush()
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", rows) + png_chunk(b"IEND", b"")


def small_or_thin() -> Iterator[HostilePhoto]:
    """Tracking pixels, spacers and lines."""
    for kind, side in product(("JPEG", "PNG", "WEBP", "GIF", "BMP"), (1, 2, 8, 15)):
        yield one(f"{kind} of {side}²", lambda k=kind, s=side: encode(smooth(s, s), k), "photo_too_small")
    for width, height in ((16, 30_000), (30_000, 16), (60_000, 17), (16_000, 1)):
        expected = "photo_too_small" if height < 16 else USED
        yield one(
            f"PNG of {width} × {height}",
            lambda w=width, h=height: encode(Image.new("L", (w, h), 90)),
            expected,
        )


def scans() -> Iterator[HostilePhoto]:
    """Progressive JPEGs, each scan of which is a pass over the whole photo."""
    data = encode(smooth(), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    for times in (10, 50, 92, 200, 1_000, 5_000, 20_000):
        expected = USED if times <= 50 else "photo_too_complex"
        repeated = data[:last] + data[last:-2] * times + data[-2:]
        yield one(f"JPEG of {times} more scans", lambda data=repeated: data, expected)


def many_parts() -> Iterator[HostilePhoto]:
    """Files of many tiny parts, each of which takes a moment."""
    jpeg, gif = plain("JPEG"), plain("GIF")
    colours = 13 + 3 * 2 ** ((gif[10] & 7) + 1)
    for count in (1_000, 5_000, 200_000, 800_000):
        expected = USED if count <= 5_000 else "photo_too_complex"
        comments, blocks = b"\xff\xfe\0\2" * count, b"!\xfe\1a\0" * count
        yield one(f"JPEG of {count} comments", lambda c=comments: jpeg[:2] + c + jpeg[2:], expected)
        yield one(f"GIF of {count} comments", lambda b=blocks: gif[:colours] + b + gif[colours:], expected)
        chunks = png_chunk(b"tEXt", b"a\0b") * count
        yield one(f"PNG of {count} texts", lambda c=chunks: png_with(plain("PNG"), c), expected)
    for count in (100, 50_000, 1_000_000):
        free = struct.pack(">I4s", 8, b"free") * count
        expected = USED if count == 100 else "photo_too_complex"
        yield one(f"HEIC of {count} boxes", lambda f=free: before_meta(f), expected, *DAMAGED)


def before_meta(inserted: bytes) -> bytes:
    """A HEIC with boxes before the one that describes its image."""
    heic = plain("HEIC")
    meta = heic.index(b"meta") - 4
    return heic[:meta] + inserted + heic[meta:]
