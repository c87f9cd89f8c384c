"""Errors of decoding a photo."""

import struct
from typing import Final

DECODER_ERRORS: Final = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    TypeError,
    RuntimeError,
    ArithmeticError,
    struct.error,
)
"""Errors that the decoders raise on damaged data; tests/unit/ml/inference/decoding covers each."""

FORMATS: Final = ("JPEG", "PNG", "WebP", "GIF", "BMP", "HEIC", "AVIF")
"""Formats that browsers show, shops store and phones create. Every other decoder would be attack surface
without users."""


class UnusablePhoto(ValueError):
    """A photo that cannot be decoded. `reason` is a stable code for counts and dead letters."""

    def __init__(self, reason: str, found: str, expected: str) -> None:
        super().__init__(f"{reason}: found {found}, expected {expected}")
        self.reason = reason
        self.found = found
        self.expected = expected


def truncated(data: bytes, cause: object) -> UnusablePhoto:
    """The error for a truncated or damaged photo."""
    found = f"an image of {len(data):,} bytes that is truncated or damaged ({cause})"
    return UnusablePhoto("photo_truncated", found, "a complete image")


def unsupported(name: str) -> UnusablePhoto:
    """The error for an image format that is not supported; a seller can convert it."""
    return UnusablePhoto("photo_unsupported", name, f"an image in one of {', '.join(FORMATS)}")


def too_complex(found: str, expected: str) -> UnusablePhoto:
    """The error for a file with so many parts, as no camera or editor writes them, that reading takes
    long."""
    return UnusablePhoto("photo_too_complex", found, expected)
