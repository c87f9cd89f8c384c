"""Checks with given scores."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from ml.data.pairs import Labels, Pair
from ml.evaluation.check.agreement import (
    COLOURS,
    FROZEN,
    RANDOM,
    Measured,
    Method,
    Similarities,
    best_scores,
)
from ml.evaluation.check.sample import Sample
from ml.evaluation.gallery import THUMBNAIL
from ml.evaluation.rows import slices_of

MakeMeasured = Callable[..., Measured]


def make_sample(categories: Sequence[str]) -> Sample:
    """Grey photos of listings in these categories."""
    pairs = tuple(
        Pair(f"m{row}", Path(f"m{row}.jpg"), f"Listing <b>{row}</b>", (), Labels(category), "shop")
        for row, category in enumerate(categories)
    )
    pixels = np.full((len(pairs), THUMBNAIL, THUMBNAIL, 3), 128, np.uint8)
    return Sample(pairs, pixels, len(pairs), Counter())


def make_method(name: str, right: float, count: int) -> Method:
    """A method by which this share of the listings has right neighbours only, the others wrong ones only."""
    ranking = (np.arange(count)[:, None] + np.arange(1, 6)) % count
    scores = (np.arange(count) % 100 < 100 * right).astype(np.float64)
    return Method(name, ranking, scores)


@pytest.fixture
def make_measured() -> MakeMeasured:
    """Build a check from the shares of right neighbours of its methods; 400 listings in 4 categories."""

    def make(
        *,
        encoder: float = 0.9,
        colours: float = 0.4,
        frozen: float | None = None,
        categories: Sequence[str] = ("Belts", "Skirts", "Ties", "Toys") * 100,
    ) -> Measured:
        sample, count = make_sample(categories), len(categories)
        own = make_method("small-1", encoder, count)
        slices = slices_of(own.scores, {"category": sample.categories})
        return Measured(
            sample,
            random=make_method(RANDOM, 0.1, count),
            colours=make_method(COLOURS, colours, count),
            frozen=None if frozen is None else make_method(FROZEN, frozen, count),
            encoder=own,
            best=best_scores(sample.categories),
            similarities=Similarities(
                np.full(count * 5, 0.95, np.float32), np.linspace(-0.05, 0.35, count * 5, dtype=np.float32)
            ),
            categories=tuple(sorted(slices, key=lambda one: one.mean)),
        )

    return make
