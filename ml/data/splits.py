"""Train, validation and test splits; near-duplicates are always in the same one."""

import unicodedata
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ml.data.near_identical import (
    PhotoPrints,
    digest_of,
    first_and_later,
    near_identical,
)
from ml.data.pairs import Pair, Split

VALIDATION_SHARE: Final = 0.1
TEST_SHARE: Final = 0.15


def groups(pairs: Sequence[Pair], prints: PhotoPrints) -> list[str]:
    """The group key of each pair; transitively the same for equal titles and near-identical photos."""
    titles = np.array([title_key(pair.title) for pair in pairs], dtype=np.uint64)
    roots = group_roots(titles, prints).tolist()
    key_of: dict[int, str] = {}
    for top, pair in zip(roots, pairs, strict=True):
        # The smallest key, so that the split does not depend on the order of the data paths.
        key_of[top] = min(key_of.get(top, group_key(pair)), group_key(pair))
    return [key_of[top] for top in roots]


def group_roots(titles: NDArray[np.uint64], prints: PhotoPrints) -> NDArray[np.int64]:
    """(n,) int64 the first row of each row's group. titles: (n,) uint64 from title_key."""
    joined = list(range(len(titles)))
    for first, second in chain(same_title(titles), near_identical(prints)):
        a, b = root(joined, first), root(joined, second)
        joined[max(a, b)] = min(a, b)
    return np.array([root(joined, row) for row in range(len(joined))], dtype=np.int64)


def group_key(pair: Pair) -> str:
    """The normalised title, or the item id of a pair without a title."""
    return normalized_title(pair.title) or pair.item_id


def normalized_title(title: str) -> str:
    """The title in NFKC, case-folded, with single spaces."""
    return " ".join(unicodedata.normalize("NFKC", title).casefold().split())


def root(joined: list[int], row: int) -> int:
    """The root of a row in a union-find forest; shortens the path on the way."""
    while joined[row] != row:
        joined[row] = joined[joined[row]]
        row = joined[row]
    return row


def title_key(title: str) -> int:
    """A 64-bit hash of the normalised title; 0 for an empty one, which equals no other."""
    folded = normalized_title(title)
    return digest_of(folded.encode()) if folded else 0


def same_title(titles: NDArray[np.uint64]) -> Iterator[tuple[int, int]]:
    """Pairs of rows with equal titles: the first and each later one. titles: (n,) uint64 from title_key."""
    titled = np.flatnonzero(titles)
    yield from first_and_later(titles[titled], titled)


def split_pairs(pairs: Sequence[Pair], keys: Sequence[str]) -> NDArray[np.str_]:
    """(n,) str splits: each pair's own, else that of a duplicate, else by a hash of its group's key."""
    decided = {key: pair.split for pair, key in zip(pairs, keys, strict=True) if pair.split}
    return np.array(
        [pair.split or decided.get(key) or split_of(key) for pair, key in zip(pairs, keys, strict=True)]
    )


def split_of(key: str) -> Split:
    """The split of a group, by a hash of its key, so that it stays the same as data is added."""
    share = share_of(key)
    if share < TEST_SHARE:
        return "test"
    return "validation" if share < TEST_SHARE + VALIDATION_SHARE else "train"


def share_of(key: str) -> float:
    """A hash of the key, uniform from 0 to 1."""
    return digest_of(key.encode(errors="surrogatepass")) / 2**64
