"""A check as one self-contained HTML page."""

from pathlib import Path
from typing import Final

import numpy as np

from ml.atomic_files import replaced
from ml.evaluation.check.agreement import Measured, Method
from ml.evaluation.check.text import agreement_rows, extremes, frozen_hint, heading, histogram
from ml.evaluation.check.verdict import verdict
from ml.evaluation.gallery import Example, GalleryResult, data_url, sample_queries, thumbnail
from ml.evaluation.templates import environment

EXAMPLES: Final = 10


def write_check(measured: Measured, path: Path) -> None:
    """Write the page to `path`.

    Raises:
        NotWritten: the folder is missing or not writable, or the disk is full.
    """
    with replaced(path, remedy="give --report another file") as file:
        file.write(page(measured).encode(errors="backslashreplace"))


def page(measured: Measured) -> str:
    """The page as HTML: what the command prints, and examples."""
    weakest, strongest = extremes(measured.categories)
    return (
        environment()
        .get_template("check.html.jinja")
        .render(
            heading=heading(measured),
            verdict=verdict(measured),
            encoder=measured.encoder.name,
            rows=agreement_rows(measured),
            frozen_hint=frozen_hint(measured),
            histogram=histogram(measured.similarities),
            categories={"Weakest": weakest, "Strongest": strongest},
            examples=examples(measured),
        )
    )


def examples(measured: Measured) -> list[Example]:
    """Queries evenly spaced over the categories, with the neighbours of the encoder."""
    answerable = np.flatnonzero(~np.isnan(measured.best))
    ordered = answerable[np.argsort(measured.sample.categories[answerable], kind="stable")]
    return [example(measured, int(query)) for query in sample_queries(ordered, EXAMPLES)]


def example(measured: Measured, query: int) -> Example:
    """A query, by its row, with its neighbours."""
    results = {measured.encoder.name: neighbours(measured, measured.encoder, query)}
    return Example(title_of(measured, query), image_of(measured, query), results)


def neighbours(measured: Measured, method: Method, query: int) -> list[GalleryResult]:
    """The neighbours of a query; a hit is of its category."""
    categories = measured.sample.categories
    same = categories[method.ranking[query]] == categories[query]
    return [
        GalleryResult(title_of(measured, int(row)), image_of(measured, int(row)), float(hit), bool(hit))
        for row, hit in zip(method.ranking[query], same, strict=True)
    ]


def title_of(measured: Measured, row: int) -> str:
    """The title of a listing with its category; only the category for a photo without a title."""
    pair = measured.sample.pairs[row]
    return f"{pair.title} ({pair.labels.type})" if pair.title else pair.labels.type


def image_of(measured: Measured, row: int) -> str:
    """The photo of a listing as a data URL."""
    return data_url(thumbnail(measured.sample.pixels[row]))
