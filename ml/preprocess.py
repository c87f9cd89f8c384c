"""Photo bytes to pixels: the one way in, for training and for serving alike."""

import io
import math
import struct
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

MAX_BYTES: Final = 20_000_000
"""A 50-megapixel phone JPEG has 12 to 18 MB; more is no listing photo and fills a worker's memory."""

MAX_PIXELS: Final = 50_000_000
"""The largest common phone sensor; decoded to RGB it takes 150 MB. Read from the header, before decoding."""

MIN_SIDE: Final = 16
"""Tracking pixels and spacers have one to ten pixels a side; in fewer than sixteen nothing can be seen."""

FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
"""What browsers show and shops store. Every further Pillow decoder would be attack surface without users."""

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
"""Names of photo files end so, in lower case. Only the content decides whether a file can be decoded."""

ALLOWED_SIGNATURES: Final = (b"\xff\xd8\xff", b"\x89PNG", b"RIFF", b"GIF8", b"BM")

OTHER_SIGNATURES: Final = {
    "HEIC or AVIF": (4, b"ftyp"),
    "TIFF": (0, b"II*\x00"),
    "TIFF (big-endian)": (0, b"MM\x00*"),
    "JPEG 2000": (4, b"jP  "),
    "Photoshop": (0, b"8BPS"),
    "PDF": (0, b"%PDF"),
    "icon": (0, b"\x00\x00\x01\x00"),
    "SVG": (0, b"<svg"),
}
"""Formats that are not allowed, by offset and first bytes, so that the seller hears what to change."""

DECODER_ERRORS: Final = (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError, struct.error)
"""What Pillow's decoders of FORMATS raise on damaged data (tests/unit/ml/test_preprocess.py damages each)."""

UPRIGHT: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation to the step that undoes it (Exif 2.32, tag 0x0112)."""


class UnusablePhoto(ValueError):
    """A photo that cannot be encoded; `reason` is a stable code for counts and dead letters."""

    def __init__(self, reason: str, found: str, expected: str) -> None:
        super().__init__(f"{reason}: found {found}, expected {expected}")
        self.reason = reason
        self.found = found
        self.expected = expected


def decode_photo(data: bytes, size: int, crop: float | None = None) -> NDArray[np.uint8]:
    """Pixels (size, size, 3) uint8, RGB, upright, squashed to a square; transparency shows white.

    crop: only the square in the centre whose side is this share of the photo's shorter one, from 0 to 1.
    Of an animation the first frame counts. Safe to call from many threads at once.

    Raises:
        UnusablePhoto: with a reason code, for whatever is no whole, allowed, reasonably sized picture.
    """
    check_bytes(data)
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            check_sides(image)
            return to_square_rgb(image, size, crop)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnusablePhoto("photo_too_many_pixels", str(error), f"at most {MAX_PIXELS:,} pixels") from error
    except UnusablePhoto:
        raise
    except UnidentifiedImageError as error:
        raise unidentified(data) from error
    except DECODER_ERRORS as error:
        found = f"a picture of {len(data):,} bytes that breaks off or is damaged ({error})"
        raise UnusablePhoto("photo_truncated", found, "a whole picture") from error


def check_bytes(data: bytes) -> None:
    if not data:
        raise UnusablePhoto("photo_empty", "0 bytes", "a picture")
    if len(data) > MAX_BYTES:
        raise UnusablePhoto("photo_too_large", f"{len(data):,} bytes", f"at most {MAX_BYTES:,} bytes")


def check_sides(image: Image.Image) -> None:
    found = f"{image.width} × {image.height} pixels"
    if image.width * image.height > MAX_PIXELS:
        raise UnusablePhoto("photo_too_many_pixels", found, f"at most {MAX_PIXELS:,} pixels")
    if min(image.size) < MIN_SIDE:
        raise UnusablePhoto("photo_too_small", found, f"both sides at least {MIN_SIDE} pixels")


def unidentified(data: bytes) -> UnusablePhoto:
    """The refusal of bytes in which Pillow saw no allowed picture: damaged, of another format, or none."""
    expected = f"a picture in one of {', '.join(FORMATS)}"
    if data.startswith(ALLOWED_SIGNATURES):
        return UnusablePhoto("photo_truncated", "a picture whose header breaks off or is damaged", expected)
    for name, (offset, signature) in OTHER_SIGNATURES.items():
        if data[offset:].startswith(signature):
            return UnusablePhoto("photo_unsupported", name, expected)
    return UnusablePhoto("photo_not_an_image", f"bytes that begin with {data[:16]!r}", expected)


def to_square_rgb(image: Image.Image, size: int, crop: float | None) -> NDArray[np.uint8]:
    # A JPEG decodes at 1/2, 1/4 or 1/8 scale, which averages as a resize would, if that leaves enough pixels.
    least = size if crop is None else math.ceil(size / crop)
    image.draft("RGB", (least, least))
    turn = UPRIGHT.get(orientation(image))
    box = None if crop is None else centre_square(image, crop)
    rgb = opaque_rgb(image).resize((size, size), Image.Resampling.BILINEAR, box, reducing_gap=2.0)
    # Turning commutes with cutting and squashing to a square, and a small square is cheaper to turn.
    return np.asarray(rgb if turn is None else rgb.transpose(turn))


def centre_square(image: Image.Image, share: float) -> tuple[float, float, float, float]:
    """Left, top, right and bottom, in pixels."""
    half, across, down = share * min(image.size) / 2, image.width / 2, image.height / 2
    return across - half, down - half, across + half, down + half


def orientation(image: Image.Image) -> int:
    """EXIF orientation 1 to 8; 1 (as stored) where the tag is absent or its block is damaged."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except DECODER_ERRORS:
        return 1


def opaque_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        # Image.convert would clip 16-bit grey at 255 and leave a white square.
        grey = np.asarray(image).astype(np.uint32) // 257
        return Image.fromarray(np.minimum(grey, 255).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def photo_hash(pixels: NDArray[np.uint8]) -> str:
    """A 64-bit difference hash as 16 hex digits: near-identical photos differ in few bits.

    Each bit says whether a cell of an 8 × 9 grey grid is brighter than its left neighbour.

    pixels: (h, w, 3) uint8.
    """
    grid = Image.fromarray(pixels).convert("L").resize((9, 8), Image.Resampling.BOX)
    grey = np.asarray(grid).astype(np.int16)
    return np.packbits(grey[:, 1:] > grey[:, :-1]).tobytes().hex()
