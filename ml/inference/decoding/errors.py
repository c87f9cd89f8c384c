"""What decoding a photo raises."""

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
"""What the decoders raise on damaged data (tests/unit/ml/inference/decoding has a test of each)."""

FORMATS: Final = ("JPEG", "PNG", "WebP", "GIF", "BMP", "HEIC", "AVIF")
"""What browsers show, what shops store and what phones make. Every further decoder would be attack surface
without users."""


class UnusablePhoto(ValueError):
    """A photo that cannot be encoded; `reason` is a stable code for counts and dead letters."""

    def __init__(self, reason: str, found: str, expected: str) -> None:
        super().__init__(f"{reason}: found {found}, expected {expected}")
        self.reason = reason
        self.found = found
        self.expected = expected


def truncated(data: bytes, cause: object) -> UnusablePhoto:
    """The refusal of a photo that breaks off or is damaged."""
    found = f"a picture of {len(data):,} bytes that breaks off or is damaged ({cause})"
    return UnusablePhoto("photo_truncated", found, "a whole picture")


def unsupported(name: str) -> UnusablePhoto:
    """The refusal of a format that is not decoded; a seller can convert it."""
    return UnusablePhoto("photo_unsupported", name, f"a picture in one of {', '.join(FORMATS)}")


def too_complex(found: str, expected: str) -> UnusablePhoto:
    """The refusal of a file that no camera or editor writes, and whose many parts would take long to read."""
    return UnusablePhoto("photo_too_complex", found, expected)
