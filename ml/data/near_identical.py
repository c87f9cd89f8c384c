"""Near-identical photos in training data, which would leak from one split into another.

Those in answers are found by `query.search.duplicates`.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PRINT_SIZE: Final = 64
"""Pixels per side from which hash and thumbnail are computed; they use 9 × 8 and 16 × 16 of them."""

NEAR_IDENTICAL_BITS: Final = 2
NEAR_IDENTICAL_LEVELS: Final = 4.0
"""Two photos are near-identical if their hashes differ in at most this many of 64 bits and their 16 × 16
thumbnails by at most this many of 255 levels on average. Bits alone would chain most T-shirts on white into
one group; see docs/decisions/101-split.md."""


@dataclass(frozen=True)
class PhotoPrints:
    """The hashes and thumbnails by which photos are compared: row i of both belongs to photo i."""

    hashes: NDArray[np.uint64]
    """(n,) uint64, see ml.inference.preprocess.photo_hash."""
    thumbnails: NDArray[np.uint8]
    """(n, 16, 16, 3) uint8, RGB; may be mapped from a file."""

    @classmethod
    def of(cls, prints: Sequence[tuple[int, NDArray[np.uint8]]]) -> "PhotoPrints":
        """Stack the hash and thumbnail (16, 16, 3) uint8 of each photo."""
        hashes = np.array([number for number, _ in prints], dtype=np.uint64)
        return cls(hashes, np.array([small for _, small in prints]))


def digest_of(data: bytes) -> int:
    """A 64-bit BLAKE2b hash."""
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest())


def first_and_later(keys: NDArray[np.uint64], rows: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Pairs (first row, later row) of rows with equal keys. keys: (n,) uint64, those of rows (n,) int64."""
    _, firsts, inverse = np.unique(keys, return_index=True, return_inverse=True)
    later = np.flatnonzero(firsts[inverse] != np.arange(len(keys)))
    yield from zip(rows[firsts[inverse[later]]].tolist(), rows[later].tolist(), strict=True)


def near_identical(prints: PhotoPrints) -> Iterator[tuple[int, int]]:
    """Pairs of rows of near-identical photos: equal ones, and those within both thresholds."""
    digests = [digest_of(small.tobytes()) for small in prints.thumbnails]
    equal = np.array(digests, dtype=np.uint64) ^ prints.hashes
    rows = np.arange(len(equal))
    yield from first_and_later(equal, rows)
    # Keep one of each: a placeholder photo in thousands of listings would be compared with itself millions of
    # times.
    rows = np.sort(np.unique(equal, return_index=True)[1])
    coarse = coarse_thumbnails(prints.thumbnails)[rows]
    for row, others in rows_with_close_hashes(prints.hashes[rows]):
        # The mean difference is at least the difference of means, so no match is lost and few are read.
        distance = np.abs(coarse[others] - coarse[row]).mean(axis=1)
        candidates = rows[others[distance <= NEAR_IDENTICAL_LEVELS]]
        own = prints.thumbnails[rows[row]].astype(np.float32)
        differences = np.abs(prints.thumbnails[candidates] - own).mean(axis=(1, 2, 3))
        close = candidates[differences <= NEAR_IDENTICAL_LEVELS]
        yield from ((int(rows[row]), other) for other in close.tolist())


def coarse_thumbnails(thumbnails: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(n, 12) float32 means of the quarters of thumbnails (n, 16, 16, 3) uint8."""
    coarse = np.empty((len(thumbnails), 12), np.float32)
    for start in range(0, len(thumbnails), 4096):
        part = thumbnails[start : start + 4096].reshape(-1, 2, 8, 2, 8, 3)
        coarse[start : start + 4096] = part.mean(axis=(2, 4), dtype=np.float32).reshape(-1, 12)
    return coarse


def thumbnail(square: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The thumbnail (16, 16, 3) uint8 of pixels (s, s, 3) uint8."""
    return np.asarray(Image.fromarray(square).resize((16, 16), Image.Resampling.BOX))


def rows_with_close_hashes(hashes: NDArray[np.uint64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Each row with later rows (m,) int64 of hashes (n,) uint64 within NEAR_IDENTICAL_BITS bits.

    Hashes that differ in k bits agree in one of k + 1 bands, so only rows that share a band are compared.
    Some pairs are yielded twice.
    """
    for bits in np.array_split(np.arange(64, dtype=np.uint64), NEAR_IDENTICAL_BITS + 1):
        band = hashes & np.bitwise_or.reduce(np.uint64(1) << bits)
        order = np.argsort(band, kind="stable")
        for rows in np.split(order, np.flatnonzero(np.diff(band[order])) + 1):
            for position, row in enumerate(rows[:-1]):
                others = rows[position + 1 :]
                close = np.bitwise_count(hashes[others] ^ hashes[row]) <= NEAR_IDENTICAL_BITS
                if close.any():
                    yield int(row), others[close]
