"""An evaluation as one self-contained HTML page."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ml.atomic_files import replaced
from ml.evaluation.comparison import Comparison
from ml.evaluation.gallery import SHOWN, Example, GalleryResult, data_url, sample_queries, thumbnail
from ml.evaluation.templates import environment


def write_report(comparisons: Sequence[Comparison], path: Path) -> None:
    """Write the page to `path`.

    Raises:
        NotWritten: the folder is missing or not writable, or the disk is full.
    """
    with replaced(path, remedy="give --report another file") as file:
        file.write(page(comparisons).encode(errors="backslashreplace"))


def page(comparisons: Sequence[Comparison]) -> str:
    """The page as HTML: bars with intervals, a table, slices and a gallery for each comparison."""
    galleries = [gallery(comparison) for comparison in comparisons]
    template = environment().get_template("evaluation.html.jinja")
    return template.render(sections=list(zip(comparisons, galleries, strict=True)))


def gallery(comparison: Comparison) -> list[Example]:
    """Evenly spaced queries as examples, so that every class is represented."""
    return [example(comparison, int(query)) for query in sample_queries(comparison.relevance.queries)]


def example(comparison: Comparison, query: int) -> Example:
    """A query, by its row, with the first results of each encoder."""
    (gains,) = comparison.relevance.gains(np.array([query]))
    results = {
        name: [result(comparison, int(row), float(gains[row])) for row in ranking[query, :SHOWN]]
        for name, ranking in comparison.rankings.items()
    }
    return Example(
        title_of(comparison, query), data_url(thumbnail(comparison.searched.pixels[query])), results
    )


def result(comparison: Comparison, row: int, gain: float) -> GalleryResult:
    """The photo of a row as a result with this gain."""
    image = data_url(thumbnail(comparison.searched.pixels[row]))
    return GalleryResult(title_of(comparison, row), image, gain, gain >= comparison.relevance.hit)


def title_of(comparison: Comparison, row: int) -> str:
    """The title with the labels; only the labels for a photo without a title."""
    pair = comparison.searched.pairs[row]
    labels = ", ".join(part for part in (pair.labels.type, pair.labels.gender, pair.labels.colour) if part)
    return f"{pair.title} ({labels})" if pair.title else labels
