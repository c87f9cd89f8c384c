"""Pairs of near-identical photos."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ml.data.near_identical import (
    NEAR_IDENTICAL_BITS,
    NEAR_IDENTICAL_LEVELS,
    PhotoPrints,
    coarse_thumbnails,
    near_identical,
)

LEVELS = int(NEAR_IDENTICAL_LEVELS)


def thumbnail(level: int = 100) -> NDArray[np.uint8]:
    """(16, 16, 3) uint8 of one grey."""
    return np.full((16, 16, 3), level, np.uint8)


def found(*prints: tuple[int, NDArray[np.uint8]]) -> set[tuple[int, int]]:
    """The pairs, each in ascending order and once."""
    return {(min(pair), max(pair)) for pair in near_identical(PhotoPrints.of(prints))}


def bits(count: int) -> int:
    """A hash that differs from 0 in so many bits."""
    return sum(1 << (7 * number) for number in range(count))


@pytest.mark.parametrize(
    ("differing_bits", "difference", "near"),
    [
        (0, 0, True),
        (NEAR_IDENTICAL_BITS, LEVELS, True),
        (NEAR_IDENTICAL_BITS + 1, 0, False),
        (0, LEVELS + 1, False),
    ],
)
def test_both_thresholds_hold(differing_bits: int, difference: int, near: bool) -> None:
    """Up to so many bits of the hash and levels of the thumbnail."""
    pair = found((0, thumbnail()), (bits(differing_bits), thumbnail(100 + difference)))
    assert pair == ({(0, 1)} if near else set())


def test_equal_means_are_not_enough() -> None:
    """Every pixel of the thumbnail counts."""
    checkered = thumbnail()
    checkered[::2] += 20
    checkered[1::2] -= 20
    assert found((0, thumbnail()), (0, checkered)) == set()


def test_equal_photos_are_paired_with_the_first_alone() -> None:
    """A placeholder in thousands of listings gives thousands of pairs, not millions."""
    copies = [(0, thumbnail())] * 4
    assert found(*copies, (bits(1), thumbnail(102))) == {(0, 1), (0, 2), (0, 3), (0, 4)}


def test_coarse_thumbnails_are_the_means_of_quarters() -> None:
    """Three colours of each quarter, row by row."""
    small = thumbnail(0)
    small[:8, 8:] = (10, 20, 30)
    small[8:, :8, 0] = 7
    assert coarse_thumbnails(small[None]).tolist() == [[0, 0, 0, 10, 20, 30, 7, 0, 0, 0, 0, 0]]
