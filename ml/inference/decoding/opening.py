"""Opening photos: reading and checking their headers before anything is decoded."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from PIL import ExifTags, Image
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile
from pillow_heif import HeifImageFile

from ml.inference.decoding.boxes import PrimaryItem, primary_item
from ml.inference.decoding.colour import coded_profile
from ml.inference.decoding.errors import DECODER_ERRORS, UnusablePhoto, truncated, unsupported
from ml.inference.decoding.formats import Format
from ml.inference.decoding.jpeg import check_scans, open_jpeg, read_frame
from ml.inference.decoding.png import read_png
from ml.inference.decoding.reads import CountedReads

MAX_BYTES: Final = 64_000_000
"""Largest file. JPEGs of 200-megapixel phones have 30 to 60 MB; larger files would fill a worker's memory."""

MAX_MEMORY: Final = 900_000_000
"""Bytes that decoding one photo may take, estimated from its header before it is decoded. It allows 50
megapixels, as phones have, in every format, and 200 in JPEG."""

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
        raise UnusablePhoto("photo_too_small", found, f"both sides at least {MIN_SIDE} pixels")


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
