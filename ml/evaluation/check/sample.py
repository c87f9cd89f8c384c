"""The listings that a check searches: a sample without near-identical photos."""

import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from console.counts import by_name, count_of
from ml.artifact import Preprocessing
from ml.data.near_identical import near_identical
from ml.data.pairs import NoPairs, Pair
from ml.errors import MlError
from ml.evaluation.gallery import THUMBNAIL
from ml.training.read_corpus import decode_pairs, read_pairs


class TooFewCategories(MlError):
    """Listings whose categories cannot tell good neighbours from bad ones."""


@dataclass(frozen=True)
class Sample:
    """Listings with decoded photos: row i of `pixels` belongs to pairs[i]."""

    pairs: tuple[Pair, ...]
    pixels: NDArray[np.uint8]
    """(n, THUMBNAIL, THUMBNAIL, 3) uint8, RGB."""
    listings: int
    """Listings of the data that the sample was drawn from."""
    left_out: Counter[str]
    """Counts of listings that were left out, by reason."""

    @property
    def categories(self) -> NDArray[np.str_]:
        """(n,) str: the leaf category of each listing."""
        return np.array([pair.labels.type for pair in self.pairs])

    def without(self, rows: Sequence[int], reason: str) -> "Sample":
        """The sample without some rows, which are counted under the reason."""
        kept = np.setdiff1d(np.arange(len(self.pairs)), rows)
        left_out = self.left_out + Counter({reason: len(self.pairs) - len(kept)})
        return Sample(tuple(self.pairs[row] for row in kept), self.pixels[kept], self.listings, left_out)


def read_sample(paths: Sequence[Path], items: int, *, threads: int = 1) -> Sample:
    """Draw at most `items` listings of data paths of any kind (see read_pairs), and decode their photos.

    Of near-identical photos the first is kept: any encoder, and even colours alone, would find the others.

    Raises:
        NoPairs: no listing has a usable photo; the message has the reasons.
        NoListings: a CSV or parquet file.
        TooFewCategories: all listings are of one category, or no two share one.
    """
    left_out: Counter[str] = Counter()
    listings = list(read_pairs(paths, left_out))
    spool = io.BytesIO()
    kept, _, prints = decode_pairs(
        drawn(listings, items), Preprocessing(image_size=THUMBNAIL), left_out, threads, spool
    )
    if not kept:
        raise NoPairs(
            f"no usable photo in {', '.join(map(str, paths))}: {by_name(left_out)}; expected listings whose "
            "images are files, by paths relative to the JSONL (URLs are not fetched), or CLASS/photo.jpg"
        )
    pixels = np.frombuffer(spool.getvalue(), np.uint8).reshape(-1, THUMBNAIL, THUMBNAIL, 3)
    copies = sorted({later for _, later in near_identical(prints)})
    sample = Sample(kept, pixels, len(listings), left_out).without(copies, "photo_near_identical")
    check_categories(sample)
    return sample


def drawn(listings: Sequence[Pair], items: int) -> list[Pair]:
    """At most `items` listings at random, the same in every run, in their order."""
    rng = np.random.default_rng(0)
    rows = rng.choice(len(listings), min(items, len(listings)), replace=False)
    return [listings[row] for row in np.sort(rows)]


def check_categories(sample: Sample) -> None:
    """Check that some neighbours can be right and others wrong.

    Raises:
        TooFewCategories: all listings are of one category, or no two share one.
    """
    counts = Counter(sample.categories.tolist())
    photos = count_of(len(sample.pairs), "usable photo")
    if len(counts) == 1:
        raise TooFewCategories(
            f"{photos}, all of the category {next(iter(counts))!r}, so any neighbour would do; add listings "
            "of other categories (the last name of `category`, or the folder of each photo)"
        )
    if max(counts.values()) == 1:
        raise TooFewCategories(
            f"{photos} in as many categories, so no neighbour can be of the same one; add listings of each "
            "category, or raise --items"
        )
