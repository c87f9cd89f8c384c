"""An evaluation as one HTML page that needs nothing beside it."""

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
        NotWritten: the folder is missing or full, or may not be written to.
    """
    with replaced(path, remedy="give --report another file") as file:
        file.write(page(comparisons).encode(errors="backslashreplace"))


def page(comparisons: Sequence[Comparison]) -> str:
    """The page: bars with intervals, a table, slices and a gallery for each comparison."""
    galleries = [gallery(comparison) for comparison in comparisons]
    template = environment().get_template("evaluation.html.jinja")
    return template.render(sections=list(zip(comparisons, galleries, strict=True)))


def gallery(comparison: Comparison) -> list[Example]:
    """Examples from the first query to the last, so that every class has its share."""
    return [example(comparison, int(query)) for query in sample_queries(comparison.relevance.queries)]


def example(comparison: Comparison, query: int) -> Example:
    (gains,) = comparison.relevance.gains(np.array([query]))
    results = {
        name: [found(comparison, int(row), float(gains[row])) for row in ranking[query, :SHOWN]]
        for name, ranking in comparison.rankings.items()
    }
    return Example(
        title_of(comparison, query), data_url(thumbnail(comparison.searched.pixels[query])), results
    )


def found(comparison: Comparison, row: int, gain: float) -> GalleryResult:
    picture = data_url(thumbnail(comparison.searched.pixels[row]))
    return GalleryResult(title_of(comparison, row), picture, gain, gain >= comparison.relevance.hit)


def title_of(comparison: Comparison, row: int) -> str:
    """The title, or the class of a photo without one, and the labels."""
    pair = comparison.searched.pairs[row]
    labels = ", ".join(part for part in (pair.labels.type, pair.labels.gender, pair.labels.colour) if part)
    return f"{pair.title} ({labels})" if pair.title else labels
