"""The gallery of a report: queries and their first results as thumbnails inside the page."""

import base64
import io
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

THUMBNAIL: Final = 72
"""Pixels per side."""
QUALITY: Final = 70
"""JPEG quality of thumbnails."""
QUERIES: Final = 12
"""Queries per gallery."""
SHOWN: Final = 5
"""Results per query and encoder."""


@dataclass(frozen=True)
class GalleryResult:
    """A result of a query."""

    title: str
    image: str
    """A data URL."""
    gain: float
    hit: bool


@dataclass(frozen=True)
class Example:
    """A query with the first results of each encoder."""

    title: str
    image: str
    results: dict[str, list[GalleryResult]]


def sample_queries(queries: NDArray[np.int64], count: int = QUERIES) -> NDArray[np.int64]:
    """(≤ count,) int64: evenly spaced row numbers of queries (q,) int64."""
    indices = np.linspace(0, len(queries) - 1, min(count, len(queries))).round().astype(np.int64)
    return queries[indices]


def thumbnail(pixels: NDArray[np.uint8]) -> bytes:
    """A JPEG of THUMBNAIL pixels per side, of pixels (s, s, 3) uint8."""
    buffer = io.BytesIO()
    image = Image.fromarray(pixels).resize((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    image.save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return buffer.getvalue()


def data_url(jpeg: bytes) -> str:
    """The JPEG as a URL that contains it."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode('ascii')}"
