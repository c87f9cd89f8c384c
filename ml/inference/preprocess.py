"""Decoding of photo bytes to pixels, for training and serving."""

import math
import threading
from collections.abc import Callable
from contextlib import nullcontext, suppress
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.artifact import Preprocessing
from ml.inference.decoding.colour import UnusableProfile, to_srgb
from ml.inference.decoding.errors import DECODER_ERRORS, FORMATS, UnusablePhoto, truncated
from ml.inference.decoding.formats import photo_format
from ml.inference.decoding.jpeg import open_incomplete
from ml.inference.decoding.opening import MAX_BYTES, MAX_PIXELS, OpenPhoto, check_bytes, open_photo

__all__ = [
    "FORMATS",
    "MAX_BYTES",
    "SUFFIXES",
    "UnusablePhoto",
    "decode_as",
    "decode_photo",
    "photo_hash",
]

LARGE: Final = 250_000_000
"""Photos that need more bytes are decoded one at a time per process, so that its peak is near MAX_MEMORY."""

SUFFIXES: Final = (
    ".jpg",
    ".jpeg",
    ".jpe",
    ".jfif",
    ".png",
    ".apng",
    ".webp",
    ".gif",
    ".bmp",
    ".heic",
    ".heif",
    ".avif",
)
"""Suffixes of photo files, in lower case. The content alone decides whether a file can be decoded."""

UPRIGHT: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation to the transposition that undoes it (Exif 2.32, tag 0x0112)."""

OnDefect = Callable[[str], None]
"""Called with a stable code for each defect of a photo that is still used: `profile_ignored`,
`photo_incomplete`."""

_one_large = threading.Lock()


def ignore(_code: str) -> None:
    """Ignore a defect."""


def decode_photo(
    data: bytes,
    size: int,
    crop: float | None = None,
    resample: Image.Resampling = Image.Resampling.BILINEAR,
    on_defect: OnDefect = ignore,
) -> NDArray[np.uint8]:
    """Decode to pixels (size, size, 3) uint8: sRGB, upright, on white, aspect ratio not kept.

    crop: use only a square in the centre whose side is this share, from 0 to 1, of the shorter side.
    Animations are represented by their first frame. Thread-safe.

    Raises:
        UnusablePhoto: with a reason code, for anything but a complete image of an allowed format and size.
    """
    check_bytes(data)
    kind = photo_format(data)
    min_size = size if crop is None else math.ceil(size / crop)
    try:
        photo = open_photo(data, kind, min_size)
        with photo.image, _one_large if photo.memory > LARGE else nullcontext():
            image = load_jpeg(photo.image, data, min_size, on_defect) if kind == "JPEG" else load(photo)
            return to_square(image, photo, size, crop, resample, on_defect)
    except UnusablePhoto:
        raise
    except Image.DecompressionBombError as error:  # Pillow's own limit for WebP and GIF, above ours
        raise UnusablePhoto("photo_too_many_pixels", str(error), f"at most {MAX_PIXELS:,} pixels") from error
    except DECODER_ERRORS as error:
        raise truncated(data, error) from error


def decode_as(preprocessing: Preprocessing, data: bytes, on_defect: OnDefect = ignore) -> NDArray[np.uint8]:
    """Decode to pixels (image_size, image_size, 3) uint8, as an artifact with this preprocessing expects.

    Raises:
        UnusablePhoto: see decode_photo.
    """
    resample = Image.Resampling[(preprocessing.resample or "bilinear").upper()]
    return decode_photo(data, preprocessing.image_size, preprocessing.crop, resample, on_defect)


def load(photo: OpenPhoto) -> Image.Image:
    """Decode the image."""
    if photo.frame:
        with suppress(EOFError):  # an animation without frames: keep the default image
            photo.image.seek(photo.frame)
    photo.image.load()
    return photo.image


def load_jpeg(image: Image.Image, data: bytes, min_size: int, on_defect: OnDefect) -> Image.Image:
    """Decode a JPEG, also if it is truncated but most of it is present.

    Raises:
        UnusablePhoto: too much is missing.
    """
    try:
        image.load()
    except OSError:
        image, share = open_incomplete(data, min_size)
        if share < 1:
            on_defect("photo_incomplete")
    return image


def to_square(
    image: Image.Image,
    photo: OpenPhoto,
    size: int,
    crop: float | None,
    resample: Image.Resampling,
    on_defect: OnDefect,
) -> NDArray[np.uint8]:
    """Convert a decoded image to pixels (size, size, 3) uint8, sRGB, upright."""
    box = None if crop is None else centre_square(image, crop)
    small = resizable(image).resize((size, size), resample, box, reducing_gap=2.0)
    rgb = in_srgb(on_white(small), photo.profile, grey=image.mode in GREY, on_defect=on_defect)
    # Rotation commutes with the crop and the resize to a square, and is cheaper on the small image.
    turn = UPRIGHT.get(photo.orientation)
    return np.asarray(rgb if turn is None else rgb.transpose(turn))


def centre_square(image: Image.Image, share: float) -> tuple[float, float, float, float]:
    """Left, top, right and bottom, in pixels, of the centred square with this share of the shorter side."""
    half, across, down = share * min(image.size) / 2, image.width / 2, image.height / 2
    return across - half, down - half, across + half, down + half


GREY: Final = frozenset({"1", "L", "LA", "I", "I;16", "I;16L", "I;16B"})
"""Pillow's modes of greyscale images."""


def resizable(image: Image.Image) -> Image.Image:
    """The image in a mode whose pixels can be averaged: L, RGB, RGBA or CMYK."""
    if image.mode.startswith("I"):
        # Image.convert would clip 16-bit grey at 255, which gives a white image.
        grey = np.asarray(image)
        return Image.fromarray(np.clip(grey // 257, 0, 255).astype(np.uint8))
    if image.mode in {"RGBA", "CMYK"}:
        return image
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image if image.mode in {"L", "RGB"} else image.convert("RGB")


def on_white(image: Image.Image) -> Image.Image:
    """An RGBA image composed on white; other images unchanged."""
    if image.mode != "RGBA":
        return image
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def in_srgb(image: Image.Image, profile: bytes | None, *, grey: bool, on_defect: OnDefect) -> Image.Image:
    """The image in RGB, converted to sRGB unless its profile is unusable. grey: whether it was greyscale."""
    if profile is not None:
        try:
            return to_srgb(image, profile, grey=grey)
        except UnusableProfile:
            on_defect("profile_ignored")
    return image.convert("RGB")


def photo_hash(pixels: NDArray[np.uint8]) -> str:
    """The 64-bit difference hash (dHash) of pixels (h, w, 3) uint8 as 16 hex digits.

    Each bit says whether a cell of an 8 × 9 grey grid is brighter than its left neighbour, so near-identical
    photos differ in few bits.
    """
    grid = Image.fromarray(pixels).convert("L").resize((9, 8), Image.Resampling.BOX)
    grey = np.asarray(grid).astype(np.int16)
    return np.packbits(grey[:, 1:] > grey[:, :-1]).tobytes().hex()
