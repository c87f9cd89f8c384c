"""Near-identical photos in answers, by perceptual hash and by vector.

Those in training data are found by `ml.data.near_identical`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.float32]
"""(n, 512) 0 or 1: gradient hashes (`ml.inference.gradient_hash`). A product counts the bits in common."""
Vectors = NDArray[np.floating]

_SIDE: Final = 16
_DIGITS: Final = 2 * _SIDE * _SIDE // 4
_HASH: Final = re.compile(f"[0-9a-fA-F]{{{_DIGITS}}}")


@dataclass(frozen=True)
class DuplicateThresholds:
    """When two photos are near-identical (measured in docs/decisions/158-near-identical-photos.md)."""

    overlap: float = 0.9
    """The least share of the bits set in either hash that is set in both, as the photos are or mirrored."""
    cosine: float = 0.98
    """The least cosine that photos of such an overlap have: it tells colours apart, which hashes do not."""
    same_cosine: float = 0.9995
    """The cosine from which the hashes do not matter: one photo, encoded twice."""
    mirrored_cosine: float = 0.95
    """The least cosine of photos of which one overlaps better mirrored: mirroring changes the vector."""


def near_identical(hashes: Bits, vectors: Vectors, thresholds: DuplicateThresholds) -> NDArray[np.bool_]:
    """(n, n) whether two photos are near-identical, as they are or mirrored.

    hashes: (n, 512); zeros for an unknown one.
    vectors: (n, dims) unit norm; not a number for an unknown one, which is compared by its hash alone.
    """
    cosines = vectors @ vectors.T if vectors.shape[1] else np.full((len(vectors),) * 2, np.nan)
    return is_near_identical(*photo_overlaps(hashes), cosines, thresholds)


def is_near_identical(
    overlaps: NDArray[np.floating],
    turned: NDArray[np.floating],
    cosines: NDArray[np.floating],
    thresholds: DuplicateThresholds,
) -> NDArray[np.bool_]:
    """Whether pairs of photos are near-identical, in the shape of the arrays.

    overlaps, turned: of the hashes, as the photos are and with one of them mirrored.
    cosines: not a number where a vector is unknown: the pair is compared by its hashes alone.
    """
    least = np.where(turned > overlaps, thresholds.mirrored_cosine, thresholds.cosine)
    alike = (np.maximum(overlaps, turned) >= thresholds.overlap) & ~(cosines < least)
    return np.asarray(alike | (cosines >= thresholds.same_cosine))


def photo_overlaps(hashes: Bits) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Two (n, n) overlaps of hashes (n, 512): as the photos are, and with one of them mirrored."""
    return overlap(hashes, hashes), overlap(hashes, mirrored(hashes))


def overlap(hashes: Bits, others: Bits) -> NDArray[np.float32]:
    """(n, m) share of the bits set in either hash that is set in both; 0 where neither has any."""
    both = hashes @ others.T
    either = hashes.sum(axis=1)[:, None] + others.sum(axis=1)[None] - both
    return np.asarray(both / np.maximum(either, 1))


def mirrored(hashes: Bits) -> Bits:
    """(n, 512) hashes of the photos mirrored left to right.

    Mirrored, the steps of a row come in the opposite order, and one that was brighter is darker.
    """
    return hashes.reshape(-1, 2, _SIDE, _SIDE)[:, ::-1, :, ::-1].reshape(hashes.shape)


def parse_hashes(texts: Sequence[str | None]) -> Bits:
    """(n, 512) of hashes in hex, as documents store them; zeros for one missing or of another kind."""
    known = (text if text and _HASH.fullmatch(text) else "0" * _DIGITS for text in texts)
    packed = np.frombuffer(bytes.fromhex("".join(known)), np.uint8).reshape(len(texts), _DIGITS // 2)
    return np.unpackbits(packed, axis=1).astype(np.float32)
