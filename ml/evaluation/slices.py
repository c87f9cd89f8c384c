"""Groups of queries for slices: by category, price, colour, and whether their title occurs in training."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ml.data.corpus import Corpus
from ml.data.splits import normalized_title

PRICE_BANDS: Final = (
    (1_000, "under ¥1,000"),
    (3_000, "¥1,000 to ¥2,999"),
    (10_000, "¥3,000 to ¥9,999"),
)
"""Upper bounds in yen, exclusive."""
TOP_BAND: Final = "¥10,000 and more"


def query_groups(searched: Corpus, corpus: Corpus) -> dict[str, NDArray[np.str_]]:
    """The value (n,) str of each photo searched, by grouping; "" if unknown.

    corpus: all splits; its train split decides which titles were seen in training.
    """
    seen = {normalized_title(corpus.pairs[row].title) for row in corpus.rows("train")}
    return {
        "category": np.array([pair.labels.type for pair in searched.pairs]),
        "colour": np.array([pair.labels.colour for pair in searched.pairs]),
        "price": np.array([price_band(pair.price) for pair in searched.pairs]),
        "title": np.array([title_group(pair.title, seen) for pair in searched.pairs]),
    }


def price_band(price: float | None) -> str:
    """The band of a price in yen; "" without a price."""
    if price is None:
        return ""
    return next((name for end, name in PRICE_BANDS if price < end), TOP_BAND)


def title_group(title: str, seen: set[str]) -> str:
    """Whether a title occurs in training; "" without a title. seen: normalized_title titles of training."""
    if not title:
        return ""
    return "seen in training" if normalized_title(title) in seen else "never seen in training"
