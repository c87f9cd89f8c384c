"""A hostile photo, and what may come of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Final

from tests.pictures import encode, smooth

USED: Final = "used"
"""The outcome of a photo that is decoded."""
FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "HEIC", "AVIF")
DAMAGED: Final = frozenset({"photo_truncated", "photo_not_an_image", "photo_unsupported"})
LIMITS: Final = frozenset({"photo_too_many_pixels", "photo_too_small", "photo_too_complex"})


@dataclass(frozen=True)
class HostilePhoto:
    """A photo, and what may come of it."""

    name: str
    make: Callable[[], bytes]
    expected: frozenset[str]
    """Reason codes, or `used`."""


def one(name: str, make: Callable[..., bytes], *expected: str) -> HostilePhoto:
    """Return a photo with its expected outcomes; `make` may take arguments that have defaults."""
    return HostilePhoto(name, make, frozenset(expected))


@cache
def plain(kind: str) -> bytes:
    """A proper photo of a format."""
    return encode(smooth(160, 120), kind)
