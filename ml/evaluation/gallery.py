"""What a gallery of results is made of: small pictures within the page, each with its mark."""

import base64
import io
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

THUMBNAIL: Final = 72
"""Pixels of a side."""
QUALITY: Final = 70
QUERIES: Final = 12
SHOWN: Final = 5


@dataclass(frozen=True)
class GalleryResult:
    """A result in the gallery."""

    title: str
    image: str
    """A data URL."""
    gain: float
    hit: bool


@dataclass(frozen=True)
class Example:
    """A query of the gallery with the first results of each encoder."""

    title: str
    image: str
    results: dict[str, list[GalleryResult]]


def sample_queries(queries: NDArray[np.int64]) -> NDArray[np.int64]:
    """At most QUERIES of queries (q,), evenly."""
    places = np.linspace(0, len(queries) - 1, min(QUERIES, len(queries))).round().astype(np.int64)
    return queries[places]


def thumbnail(pixels: NDArray[np.uint8]) -> bytes:
    """A JPEG, THUMBNAIL pixels a side, of pixels (s, s, 3)."""
    buffer = io.BytesIO()
    image = Image.fromarray(pixels).resize((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    image.save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return buffer.getvalue()


def data_url(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode('ascii')}"
