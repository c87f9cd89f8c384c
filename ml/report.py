"""An evaluation as one HTML page that needs nothing beside it."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ml.comparison import Comparison
from ml.files import replaced
from ml.templates import environment

THUMBNAIL: Final = 72
"""Pixels of a side."""
QUALITY: Final = 70
QUERIES: Final = 12
SHOWN: Final = 5
SCALE: Final = 620
"""Pixels of a bar chart that stand for a score of 1."""


@dataclass(frozen=True)
class Found:
    """A result in the gallery."""

    title: str
    picture: str
    """A data URL."""
    gain: float
    hit: bool


@dataclass(frozen=True)
class Example:
    """A query of the gallery with the first results of each encoder."""

    title: str
    picture: str
    results: dict[str, list[Found]]


def write_report(comparisons: Sequence[Comparison], path: Path) -> None:
    """Write the page to `path`.

    Raises:
        NotWritten: the folder is missing or full, or may not be written to.
    """
    with replaced(path, remedy="give --report another file") as file:
        file.write(page(comparisons).encode())


def page(comparisons: Sequence[Comparison]) -> str:
    """The page: bars with intervals, a table, slices and a gallery for each comparison."""
    galleries = [gallery(comparison) for comparison in comparisons]
    template = environment().get_template("evaluation.html.jinja")
    return template.render(sections=list(zip(comparisons, galleries, strict=True)), scale=SCALE)


def gallery(comparison: Comparison) -> list[Example]:
    """Examples from the first query to the last, so that every class has its share."""
    return [example(comparison, int(query)) for query in chosen(comparison.relevance.queries)]


def chosen(queries: NDArray[np.int64]) -> NDArray[np.int64]:
    """At most QUERIES of queries (q,), evenly."""
    places = np.linspace(0, len(queries) - 1, min(QUERIES, len(queries))).round().astype(np.int64)
    return queries[places]


def example(comparison: Comparison, query: int) -> Example:
    (gains,) = comparison.relevance.gains(np.array([query]))
    results = {
        name: [found(comparison, int(row), float(gains[row])) for row in ranking[query, :SHOWN]]
        for name, ranking in comparison.rankings.items()
    }
    return Example(
        title_of(comparison, query), data_url(thumbnail(comparison.searched.pixels[query])), results
    )


def found(comparison: Comparison, row: int, gain: float) -> Found:
    picture = data_url(thumbnail(comparison.searched.pixels[row]))
    return Found(title_of(comparison, row), picture, gain, gain >= comparison.relevance.hit)


def title_of(comparison: Comparison, row: int) -> str:
    """The title, or the class of a photo without one, and the labels."""
    pair = comparison.searched.pairs[row]
    labels = ", ".join(part for part in (pair.labels.type, pair.labels.gender, pair.labels.colour) if part)
    return f"{pair.title} ({labels})" if pair.title else labels


def thumbnail(pixels: NDArray[np.uint8]) -> bytes:
    """A JPEG, THUMBNAIL pixels a side, of pixels (s, s, 3)."""
    buffer = io.BytesIO()
    image = Image.fromarray(pixels).resize((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    image.save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return buffer.getvalue()


def data_url(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode('ascii')}"
