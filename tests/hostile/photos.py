"""Some 500 hostile photos, each with the reasons for which it may be refused.

They are made when needed, since some take hundreds of megabytes to decode.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Final

import numpy as np
from PIL import Image

from ml.inference.preprocess import MAX_BYTES
from tests.hostile import large_photos
from tests.hostile.other_files import other_files
from tests.hostile.photo import DAMAGED, FORMATS, LIMITS, USED, HostilePhoto, one, plain
from tests.pictures import encode, ftyp, png_chunk, png_with, smooth


def hostile_photos() -> list[HostilePhoto]:
    """Return all of them, kind by kind."""
    kinds = (
        large_photos.bombs,
        large_photos.compressed_bombs,
        cut_off,
        without_magic,
        renamed,
        polyglots,
        animated,
        odd_modes,
        odd_exif,
        odd_profiles,
        large_photos.small_or_thin,
        large_photos.scans,
        large_photos.many_parts,
        several_images,
        mutated,
        noise_files,
    )
    photos = [photo for kind in kinds for photo in kind()]
    assert len({photo.name for photo in photos}) == len(photos), "two photos have one name"
    return photos


def cut_off() -> Iterator[HostilePhoto]:
    """Downloads that ended early. A JPEG is used with most of its rows; of a BMP all are needed."""
    for kind, percent in product(FORMATS, (1, 10, 25, 50, 75, 90, 99)):
        expected = {*DAMAGED, USED} if percent >= 75 or kind == "JPEG" else DAMAGED

        def cut(kind: str = kind, percent: int = percent) -> bytes:
            return plain(kind)[: max(1, len(plain(kind)) * percent // 100)]

        yield one(f"{kind} cut at {percent} %", cut, *expected)


def without_magic() -> Iterator[HostilePhoto]:
    """Photos whose first bytes are others."""
    for kind, count in product(FORMATS, (1, 2, 4, 12)):

        def blanked(kind: str = kind, count: int = count) -> bytes:
            return bytes(count) + plain(kind)[count:]

        # The first four bytes of HEIC and AVIF are a length.
        yield one(f"{kind} without its first {count} bytes", blanked, USED, *DAMAGED)


def renamed() -> Iterator[HostilePhoto]:
    """Other files that are named .jpg."""
    for name, data in other_files().items():
        yield one(f"{name} named .jpg", lambda data=data: data, "photo_unsupported", "photo_not_an_image")
    yield one("no bytes", lambda: b"", "photo_empty")
    yield one("too many bytes", lambda: plain("JPEG") + bytes(MAX_BYTES), "photo_too_large")


def polyglots() -> Iterator[HostilePhoto]:
    """Photos that are something else as well: what follows is ignored, what precedes refuses them."""
    files = other_files()
    for kind, name in product(FORMATS, ("ZIP", "HTML", "shell script", "PDF", "JavaScript")):
        yield one(f"{kind}, then {name}", lambda k=kind, n=name: plain(k) + files[n], USED)
        yield one(
            f"{name}, then {kind}",
            lambda k=kind, n=name: files[n] + plain(k),
            "photo_unsupported",
            "photo_not_an_image",
        )
    php = b"<?php system($_GET['c']); ?>"
    yield one("JPEG with PHP", lambda: encode(smooth(), "JPEG", comment=php), USED)
    yield one("PNG with PHP", lambda: png_with(plain("PNG"), png_chunk(b"tEXt", b"Comment\0" + php)), USED)


def animated() -> Iterator[HostilePhoto]:
    """Animations, of which the first frame is used."""
    frames = [smooth(32, 32).rotate(angle) for angle in range(400)]
    for kind, count in product(("GIF", "PNG", "WEBP", "AVIF"), (2, 30, 400)):
        if kind == "AVIF" and count == 400:
            continue  # encoding takes seconds

        def film(kind: str = kind, count: int = count) -> bytes:
            return encode(frames[0], kind, save_all=True, append_images=frames[1:count])

        yield one(f"{kind} of {count} frames", film, USED)


def odd_modes() -> Iterator[HostilePhoto]:
    """Every pixel format that a format has."""
    modes = {
        "JPEG": ("L", "CMYK", "RGB"),
        "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
        "WEBP": ("RGB", "RGBA"),
        "GIF": ("1", "L", "P"),
        "BMP": ("1", "L", "P", "RGB"),
        "AVIF": ("RGB", "RGBA"),
        "HEIC": ("L", "RGB", "RGBA"),
    }
    for kind, mode in ((kind, mode) for kind, found in modes.items() for mode in found):
        yield one(f"{kind} in {mode}", lambda k=kind, m=mode: encode(in_mode(m), k), USED)


def in_mode(mode: str) -> Image.Image:
    """A picture in a mode of Pillow."""
    if mode == "I;16":
        return Image.fromarray(np.asarray(smooth().convert("L")).astype(np.uint16) * 257)
    return smooth().convert(mode)


def odd_exif() -> Iterator[HostilePhoto]:
    """Orientations that exist and that do not, and EXIF that lies, loops or is long: the photo is used."""
    for value in (*range(10), 255, 65_535):

        def turned(value: int = value) -> bytes:
            exif = Image.Exif()
            exif[0x0112] = value
            return encode(smooth(), "JPEG", exif=exif)

        yield one(f"EXIF orientation {value}", turned, USED)
    loop = b"MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\x08"
    for name, body in {
        "loops": loop,
        "counts four thousand million": b"II*\0\x08\0\0\0\1\0\x12\1\4\0\xff\xff\xff\xff\0\0\0\0",
        "starts outside": b"MM\0*\xff\xff\xff\xff",
        "is text": b"rotate me",
        "is zeros": bytes(60_000),
        "has 5,000 entries": b"MM\0*\0\0\0\x08\x13\x88" + b"\x01\x12\0\3\0\0\0\1\0\6\0\0" * 5_000,
    }.items():
        segment = b"\xff\xe1" + struct.pack(">H", len(body) + 8) + b"Exif\0\0" + body

        def with_segment(segment: bytes = segment) -> bytes:
            return plain("JPEG")[:2] + segment + plain("JPEG")[2:]

        yield one(f"EXIF that {name}", with_segment, USED)


def odd_profiles() -> Iterator[HostilePhoto]:
    """Colour profiles that are damaged, huge or of another kind: ignored."""
    random = np.random.default_rng(8).integers(0, 256, 5_000_000, dtype=np.uint8).tobytes()
    bodies = {
        "empty": b"",
        "short": b"acsp",
        "random": random[:3_000],
        "of 5 MB": random,
        "that claims 4 GB": b"\xff\xff\xff\xff" + random[:500],
    }
    for kind, (name, body) in product(("JPEG", "PNG", "WEBP"), bodies.items()):
        yield one(
            f"{kind} with a profile {name}", lambda k=kind, b=body: encode(smooth(), k, icc_profile=b), USED
        )


def several_images() -> Iterator[HostilePhoto]:
    """MPO of 3D cameras, overlays and grids."""
    for count in (2, 5, 20):

        def stereo(count: int = count) -> bytes:
            buffer = io.BytesIO()
            smooth().save(buffer, "MPO", save_all=True, append_images=[smooth()] * (count - 1))
            return buffer.getvalue()

        yield one(f"MPO of {count} images", stereo, USED)
    for kind in (b"iovl", b"iden", b"tmap", b"grid", b"zzzz"):
        yield one(
            f"HEIC whose image is {kind.decode()}",
            lambda k=kind: plain("HEIC").replace(b"hvc1", k, 1),
            "photo_unsupported",
            "photo_truncated",
        )
    for part in (b"pitm", b"iinf", b"infe", b"ipco", b"iloc", b"ispe", b"hvcC"):
        yield one(
            f"HEIC without {part.decode()}",
            lambda p=part: plain("HEIC").replace(p, b"free", 1),
            USED,
            *DAMAGED,
            *LIMITS,
        )


def mutated() -> Iterator[HostilePhoto]:
    """Photos with bytes changed at random, most of them in the header."""
    for kind, seed in product(FORMATS, range(12)):

        def changed(kind: str = kind, seed: int = seed) -> bytes:
            random = np.random.default_rng(seed)
            data = np.frombuffer(plain(kind), np.uint8).copy()
            places = random.integers(4, min(len(data), 600), size=random.integers(1, 8))
            data[places] = random.integers(0, 256, size=len(places))
            return data.tobytes()

        yield one(f"{kind} mutated by {seed}", changed, USED, *DAMAGED, *LIMITS)


MAGIC: Final[Sequence[bytes]] = (
    b"",
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"RIFF\xff\xff\xff\xffWEBPVP8 ",
    b"GIF89a",
    b"BM",
    ftyp(b"heic", [b"mif1"]),
    ftyp(b"avif", [b"mif1"]),
)


def noise_files() -> Iterator[HostilePhoto]:
    """Random bytes behind the first bytes of each format."""
    for (number, magic), size in product(enumerate(MAGIC), (1, 30, 1_000, 100_000)):

        def random_bytes(magic: bytes = magic, size: int = size) -> bytes:
            return magic + np.random.default_rng(size).integers(0, 256, size, dtype=np.uint8).tobytes()

        yield one(f"noise of {size} bytes, magic {number}", random_bytes, *DAMAGED, *LIMITS)
