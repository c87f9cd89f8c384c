"""Decoding photo bytes to pixels, for training and serving alike."""

import io
import math
import threading
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile
from pillow_heif import HeifImageFile

from ml.artifact import Preprocessing
from ml.inference.decoding.boxes import PrimaryItem, primary_item
from ml.inference.decoding.colour import UnusableProfile, coded_profile, to_srgb
from ml.inference.decoding.errors import DECODER_ERRORS, FORMATS, UnusablePhoto, truncated, unsupported
from ml.inference.decoding.formats import Format, photo_format
from ml.inference.decoding.jpeg import check_scans, open_incomplete, open_jpeg, read_frame
from ml.inference.decoding.png import read_png
from ml.inference.decoding.reads import CountedReads

__all__ = [
    "FORMATS",
    "MAX_BYTES",
    "SUFFIXES",
    "UnusablePhoto",
    "decode_as",
    "decode_photo",
    "photo_hash",
]

MAX_BYTES: Final = 64_000_000
"""Largest file. JPEGs of 200-megapixel phones have 30 to 60 MB; larger files would fill a worker's memory."""

MAX_MEMORY: Final = 900_000_000
"""Bytes that decoding one photo may take, estimated from its header before it is decoded. It allows 50
megapixels, as phones have, in every format, and 200 in JPEG."""

LARGE: Final = 250_000_000
"""Photos that need more bytes are decoded one at a time per process, so that its peak is near MAX_MEMORY."""

MAX_PIXELS: Final = 256_000_000
"""The largest phone sensor has 200 million pixels; 256 million take half a second on one core."""

PIXEL_BYTES: Final[dict[Format, tuple[int, int]]] = {
    "PNG": (9, 12),
    "GIF": (9, 9),
    "BMP": (9, 9),
    "WebP": (17, 17),
    "HEIC": (12, 21),
    "AVIF": (14, 24),
}
"""Peak memory per pixel, in bytes, including planes, canvases and copies: for opaque 8-bit images, and for
others (measured, decision 103). Grey with alpha and palette transparency are converted to RGBA in
addition."""

JPEG_PIXEL_BYTES: Final = 8
"""Peak memory per pixel, in bytes, at the reduced scale at which a JPEG is decoded."""

MIN_SIDE: Final = 16
"""Smallest side in pixels. Tracking pixels and spacers have 1 to 10; below 16 nothing is recognisable."""

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

OPENERS: Final[dict[Format, Callable[[io.BytesIO], Image.Image]]] = {
    "PNG": PngImageFile,
    "WebP": WebPImageFile,
    "GIF": GifImageFile,
    "BMP": BmpImageFile,
    "HEIC": HeifImageFile,
    "AVIF": AvifImageFile,
}
"""Decoders, used instead of Image.open: no other decoder is reachable, and Pillow's process-wide pixel limit
does not apply."""

TILES: Final = frozenset({b"hvc1", b"hev1", b"av01"})
"""Item types of coded images in HEIC and AVIF."""
CODED_ITEMS: Final = TILES | {b"grid"}
"""Primary item types that phones write. Others are rejected: overlays can repeat one image hundreds of times,
and grids can contain grids, which multiplies the work."""

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


@dataclass(frozen=True)
class OpenPhoto:
    """A photo that is not decoded yet; its header is within the limits."""

    image: Image.Image
    profile: bytes | None
    """The ICC profile of its colours; None for sRGB."""
    orientation: int
    """EXIF orientation, 1 to 8."""
    memory: int
    """Estimated peak memory of decoding, in bytes."""
    frame: int = 0
    """The frame to decode."""


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
    """Pixels (size, size, 3) uint8, sRGB, upright, resized without keeping the aspect ratio, on white.

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
    """Pixels (image_size, image_size, 3) uint8, as the artifact of this preprocessing expects them.

    Raises:
        UnusablePhoto: see decode_photo.
    """
    resample = Image.Resampling[(preprocessing.resample or "bilinear").upper()]
    return decode_photo(data, preprocessing.image_size, preprocessing.crop, resample, on_defect)


def check_bytes(data: bytes) -> None:
    """Check the size of the file.

    Raises:
        UnusablePhoto: it is empty or larger than MAX_BYTES.
    """
    if not data:
        raise UnusablePhoto("photo_empty", "0 bytes", "an image")
    if len(data) > MAX_BYTES:
        raise UnusablePhoto("photo_too_large", f"{len(data):,} bytes", f"at most {MAX_BYTES:,} bytes")


def check_sides(width: int, height: int) -> None:
    """Check the size in pixels.

    Raises:
        UnusablePhoto: more than MAX_PIXELS, or a side below MIN_SIDE.
    """
    found = f"{width} × {height} pixels"
    if width * height > MAX_PIXELS:
        raise UnusablePhoto("photo_too_many_pixels", found, f"at most {MAX_PIXELS:,} pixels")
    if min(width, height) < MIN_SIDE:
        raise UnusablePhoto("photo_too_small", found, f"both sides at min_size {MIN_SIDE} pixels")


def check_memory(memory: int, width: int, height: int) -> None:
    """Check the estimated peak memory, in bytes.

    Raises:
        UnusablePhoto: more than MAX_MEMORY.
    """
    if memory > MAX_MEMORY:
        found = f"{width} × {height} pixels, which need {memory:,} bytes of memory to decode"
        raise UnusablePhoto("photo_too_many_pixels", found, f"at most {MAX_MEMORY:,} bytes")


def open_photo(data: bytes, kind: Format, min_size: int) -> OpenPhoto:
    """Read and check the header. min_size: pixels per side that a reduced JPEG must keep.

    Raises:
        UnusablePhoto: the header is damaged or exceeds a limit.
    """
    match kind:
        case "JPEG":
            return open_jpeg_photo(data, min_size)
        case "PNG":
            return open_png(data)
        case "HEIC" | "AVIF":
            return open_heif(data, kind)
        case _:
            return open_simple(data, kind)


def open_jpeg_photo(data: bytes, min_size: int) -> OpenPhoto:
    """open_photo for JPEG."""
    frame = read_frame(data)
    check_sides(frame.width, frame.height)
    check_scans(frame, data)
    image = open_jpeg(data, min_size)
    memory = frame.coefficient_bytes + JPEG_PIXEL_BYTES * image.width * image.height
    check_memory(memory, frame.width, frame.height)
    return OpenPhoto(image, image.info.get("icc_profile"), orientation(image), memory)


def open_png(data: bytes) -> OpenPhoto:
    """open_photo for PNG."""
    png = read_png(data)
    image, memory = open_within_limits("PNG", png.data)
    return OpenPhoto(image, png.profile, orientation(image), memory, frame=int(png.default_hidden))


def open_heif(data: bytes, kind: Format) -> OpenPhoto:
    """open_photo for HEIC and AVIF."""
    item = primary_item(data)
    if item:  # image sequences have none
        check_primary_item(data, kind, item)
    image, memory = open_within_limits(kind, data)
    coded = coded_profile(*item.colours) if item and item.colours else None
    # Rotation is stored in boxes, not EXIF: libheif applies it, Pillow reports that of AVIF as EXIF.
    turn = 1 if kind == "HEIC" else orientation(image)
    return OpenPhoto(image, image.info.get("icc_profile") or coded, turn, memory)


def check_primary_item(data: bytes, kind: Format, item: PrimaryItem) -> None:
    """Check that the primary item is a coded image or a grid of coded images.

    Raises:
        UnusablePhoto: it is something else or cannot be read.
    """
    if not item.kind:
        raise truncated(data, "its primary item cannot be read")
    if composed := ({item.kind} - CODED_ITEMS) | (item.parts - TILES):
        names = ", ".join(sorted(name.decode("latin-1") or "unknown" for name in composed))
        raise unsupported(f"{kind} that is a composite of other images ({names})")


def open_simple(data: bytes, kind: Format) -> OpenPhoto:
    """open_photo for formats that need no parsing of our own: GIF, BMP and WebP."""
    image, memory = open_within_limits(kind, data)
    return OpenPhoto(image, image.info.get("icc_profile"), orientation(image), memory)


def open_within_limits(kind: Format, data: bytes) -> tuple[Image.Image, int]:
    """The image, not decoded yet, and the estimated peak memory of decoding, in bytes.

    Raises:
        UnusablePhoto: a limit is exceeded.
    """
    image = OPENERS[kind](CountedReads(data))
    rich = (
        image.mode not in {"L", "RGB"} or "transparency" in image.info or image.info.get("bit_depth", 8) > 8
    )
    memory = PIXEL_BYTES[kind][rich] * image.width * image.height
    check_sides(*image.size)
    check_memory(memory, *image.size)
    return image, memory


def load(photo: OpenPhoto) -> Image.Image:
    """The decoded image."""
    if photo.frame:
        with suppress(EOFError):  # an animation without frames: keep the default image
            photo.image.seek(photo.frame)
    photo.image.load()
    return photo.image


def load_jpeg(image: Image.Image, data: bytes, min_size: int, on_defect: OnDefect) -> Image.Image:
    """The decoded JPEG, also if it is truncated but most of it is present.

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
    """Pixels (size, size, 3) uint8, sRGB, upright, of a decoded image."""
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


def orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8; 1 (as stored) if the tag is absent or EXIF is damaged.

    Image.getexif would also read XMP, which browsers do not.
    """
    try:
        exif = Image.Exif()
        exif.load(image.info.get("exif", b""))
        return int(exif.get(ExifTags.Base.Orientation, 1))
    except DECODER_ERRORS:
        return 1


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
