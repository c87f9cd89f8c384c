"""A check as plain text."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from console.counts import by_name, count_of
from console.table import table
from ml.evaluation.check.agreement import BEST, FROZEN, Measured, Similarities, frozen_packages_missing
from ml.evaluation.check.verdict import verdict
from ml.evaluation.rows import MIN_SLICE, Slice
from ml.metrics.ranking import mean
from ml.metrics.retrieval import DEPTH

SHOWN: Final = 5
"""Weakest and strongest categories that are listed."""
BINS: Final = 12
WIDTH: Final = 30
"""Characters of the longest bar."""


def check_text(measured: Measured) -> str:
    """Everything that a check prints."""
    parts = [
        heading(measured),
        agreement_table(measured),
        frozen_hint(measured),
        "Similarity (cosine) of listings with their neighbours, and of random pairs",
        histogram(measured.similarities),
        *category_tables(measured.categories),
        verdict(measured).sentence,
    ]
    return "\n\n".join(part for part in parts if part)


def heading(measured: Measured) -> str:
    """What was searched, and what was left out."""
    sample = measured.sample
    lines = [
        f"{count_of(len(sample.pairs), 'photo')} of {count_of(sample.listings, 'listing')} in "
        f"{len(set(sample.categories.tolist())):,} leaf categories, each searched among the others."
    ]
    if sample.left_out:
        lines.append(f"Left out: {by_name(sample.left_out)}.")
    return "\n".join(lines)


def agreement_table(measured: Measured) -> str:
    """A row per method: the share of neighbours of the listing's own category."""
    column = f"same category, of {DEPTH} neighbours"
    rows = [(name, f"{share:.3f}", interval) for name, share, interval in agreement_rows(measured)]
    return table(["", column, "95 % interval"], rows, right=[column])


def agreement_rows(measured: Measured) -> list[tuple[str, float, str]]:
    """Name, mean and interval as text of each method, and the mean of a perfect order."""
    rows = [(one.name, one.mean, interval_text(one.interval)) for one in measured.methods]
    return [*rows, (BEST, mean(measured.best), "")]


def interval_text(interval: tuple[float, float]) -> str:
    """An interval as text."""
    return f"{interval[0]:.3f}–{interval[1]:.3f}"


def frozen_hint(measured: Measured) -> str:
    """How to get the row of the frozen network; empty if it is there."""
    if measured.frozen is not None:
        return ""
    return (
        f"{FROZEN}: not measured (not installed: {', '.join(frozen_packages_missing())}). "
        "`make train` installs what it needs (6 GB on Linux); the verdict is surer with it."
    )


def histogram(similarities: Similarities) -> str:
    """Bars of the shares of neighbours and random pairs by similarity."""
    edges, neighbours, random = binned(similarities)
    longest = max(neighbours.max(), random.max())
    rows = [
        (f"{low:.2f} to {high:.2f}".replace("-", "−"), bar(near, longest), bar(far, longest))
        for low, high, near, far in zip(edges[:-1], edges[1:], neighbours, random, strict=True)
    ]
    return table(["similarity", "neighbours", "random pairs"], rows)


def binned(
    similarities: Similarities,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Edges (BINS + 1,) float64, and the shares (BINS,) float64 of neighbours and of random pairs."""
    both = np.concatenate([similarities.neighbours, similarities.random])
    edges = np.histogram_bin_edges(both.astype(np.float64), BINS)
    counts = [np.histogram(values, edges)[0] for values in (similarities.neighbours, similarities.random)]
    near, far = (count / max(count.sum(), 1) for count in counts)
    return edges, near, far


def bar(share: float, longest: float) -> str:
    """A bar with its percentage, such as `███ 12 %`; empty for 0."""
    if not share:
        return ""
    return f"{'█' * round(WIDTH * share / longest)} {100 * share:.0f} %".strip()


def category_tables(categories: Sequence[Slice]) -> list[str]:
    """Tables of the weakest and strongest categories; no category is in both."""
    if not categories:
        return [f"No category has {MIN_SLICE} listings, so none is shown by itself."]
    weakest, strongest = extremes(categories)
    return [category_table("weakest categories", weakest), category_table("strongest categories", strongest)]


def extremes(categories: Sequence[Slice]) -> tuple[Sequence[Slice], Sequence[Slice]]:
    """The weakest categories, weakest first, and the strongest of the others, strongest first."""
    weak = min(SHOWN, -(-len(categories) // 2))
    return categories[:weak], categories[weak:][-SHOWN:][::-1]


def category_table(title: str, categories: Sequence[Slice]) -> str:
    """A row per category; empty if there is none."""
    if not categories:
        return ""
    head = [title, "listings", "same category", "95 % interval"]
    rows = [
        (one.value, f"{one.queries:,}", f"{one.mean:.3f}", interval_text(one.interval)) for one in categories
    ]
    return table(head, rows, right=head[1:3])
