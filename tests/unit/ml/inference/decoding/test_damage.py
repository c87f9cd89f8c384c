"""Any bytes are decoded or rejected with a reason."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

from ml.inference.preprocess import UnusablePhoto, decode_photo
from tests.pictures import PROFILES, encode, smooth
from tests.soak import scaled

SIZE = 64


def exif() -> Image.Exif:
    turned = Image.Exif()
    turned[0x0112] = 6
    return turned


def seeds() -> dict[str, bytes]:
    """A small photo of each supported kind."""
    picture = smooth(160, 120)
    clear = picture.convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(picture.size))
    animated = {"save_all": True, "append_images": [picture.rotate(90), picture.rotate(180)]}
    tagged = {"icc_profile": PROFILES["Display P3"], "exif": exif()}
    return {
        "jpeg": encode(picture, "JPEG", **tagged),
        "jpeg progressive": encode(picture, "JPEG", progressive=True),
        "png": encode(picture, "PNG", **tagged),
        "png transparent": encode(clear, "PNG"),
        "apng": encode(picture, "PNG", default_image=True, **animated),
        "webp": encode(picture, "WEBP", **tagged),
        "webp lossless": encode(clear, "WEBP", lossless=True),
        "webp animated": encode(picture, "WEBP", **animated),
        "gif": encode(picture, "GIF", **animated),
        "bmp": encode(picture, "BMP"),
        "avif": encode(picture, "AVIF", speed=10, **tagged),
        "avif transparent": encode(clear, "AVIF", speed=10),
        "avif animated": encode(picture, "AVIF", speed=10, **animated),
        "heic": encode(picture, "HEIC", exif=exif().tobytes()),
        "heic transparent": encode(clear, "HEIC"),
        "heic tiles": encode(smooth(320, 240), "HEIC", tile_size=128),
    }


SEEDS = seeds()


def damaged(data: bytes, random: np.random.Generator) -> bytes:
    """The bytes with some changed, moved or removed, mostly in the first 700, which hold the headers."""
    changed = np.frombuffer(data, np.uint8).copy()
    kind = random.integers(4)
    if kind != 1:
        knn = len(data) if random.random() < 0.5 else min(len(data), 700)
        places = random.integers(0, knn, size=random.integers(1, 6))
        changed[places] = random.integers(0, 256, size=len(places))
    if kind in {1, 2}:
        changed = changed[: random.integers(1, len(data) + 1)]
    if kind == 3:
        start, end = sorted(random.integers(0, len(data), size=2))
        source = random.integers(0, len(data))
        changed = np.concatenate(
            [changed[:start], changed[source : source + (end - start) // 4], changed[end:]]
        )
    return changed.tobytes()


def gif_with(inserted: bytes) -> bytes:
    """A GIF with bytes before its first frame."""
    data = encode(smooth(), "GIF")
    colours = 13 + 3 * 2 ** ((data[10] & 7) + 1)
    return data[:colours] + inserted + data[colours:]


def run_length_bmp(inserted: bytes) -> bytes:
    """A BMP of 64 × 64 compressed pixels with bytes before them."""
    data = bytearray(encode(Image.new("P", (64, 64), 7), "BMP"))
    data[30] = 1  # BI_RLE8
    start = int.from_bytes(data[10:14], "little")
    return bytes(data[:start]) + inserted + b"\x40\7\0\0" * 64 + b"\0\1"


@pytest.mark.parametrize(
    ("make", "part", "few", "many"),
    [
        (gif_with, b"!\xfe\1a\0", 10_000, 400_000),
        (gif_with, b"!\xfe\0", 10_000, 400_000),
        (gif_with, b"\0", 100_000, 1_100_000),
        (run_length_bmp, b"\0\2\0\0", 10_000, 400_000),
    ],
    ids=["GIF comments", "GIF empty comments", "GIF zeros", "BMP moves"],
)
def test_a_file_with_too_many_parts_is_rejected(
    make: Callable[[bytes], bytes], part: bytes, few: int, many: int
) -> None:
    """Pillow reads each part in Python; some thousand are allowed."""
    assert decode_photo(make(part * few), SIZE).shape == (SIZE, SIZE, 3)
    with pytest.raises(UnusablePhoto, match="photo_too_complex"):
        decode_photo(make(part * many), SIZE)


def check(name: str, rounds: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    for _ in range(rounds):
        with suppress(UnusablePhoto):
            assert decode_photo(damaged(SEEDS[name], random), SIZE).shape == (SIZE, SIZE, 3)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning", "ignore::UserWarning")
@pytest.mark.parametrize("name", SEEDS)
def test_damaged_files_are_decoded_or_rejected(name: str) -> None:
    """Nothing but UnusablePhoto is raised."""
    check(name, 150, seed=3)


@pytest.mark.soak
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning", "ignore::UserWarning")
@pytest.mark.parametrize("name", SEEDS)
def test_many_damaged_files_are_decoded_or_rejected(name: str) -> None:
    """The same for ten thousand of each kind."""
    check(name, scaled(10_000), seed=4)
