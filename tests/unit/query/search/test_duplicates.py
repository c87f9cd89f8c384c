"""Near-identical photos."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ml.data.synthetic_photos import synthetic_photo
from ml.inference.gradient_hash import gradient_hash
from query.search.duplicates import DuplicateThresholds, mirrored, near_identical, overlap, parse_hashes

ALIKE = np.array([[1.0, 0.0], [1.0, 0.0]])


def photo(seed: int = 0) -> Image.Image:
    """A drawn photo."""
    return Image.fromarray(synthetic_photo(np.random.default_rng(seed), 96, 96))


def hash_of(image: Image.Image) -> str:
    """Its hash, from what an encoder of 96 pixels sees."""
    return gradient_hash(np.asarray(image.convert("RGB").resize((96, 96))))


def compressed(image: Image.Image) -> Image.Image:
    """The photo as a relisting has it: saved again, at a low quality."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=40)
    return Image.open(file)


def vectors_at(cosine: float) -> NDArray[np.float64]:
    """Two unit vectors of this cosine."""
    return np.array([[1.0, 0.0], [cosine, np.sqrt(1 - cosine**2)]])


def same(one: Image.Image, other: Image.Image, vectors: NDArray[np.float64] = ALIKE) -> bool:
    """Whether two photos are near-identical."""
    hashes = parse_hashes([hash_of(one), hash_of(other)])
    return bool(near_identical(hashes, vectors, DuplicateThresholds())[0, 1])


@pytest.mark.parametrize(("change", "cosine"), [(compressed, 0.997), (ImageOps.mirror, 0.96)])
def test_a_relisted_photo_is_found(change: Callable[[Image.Image], Image.Image], cosine: float) -> None:
    """Saved again or mirrored, which changes the vector more."""
    for seed in range(10):
        assert same(photo(seed), change(photo(seed)), vectors_at(cosine))
        assert not same(photo(seed), change(photo(seed)), vectors_at(0.94))


def test_other_products_are_not() -> None:
    """Even if an encoder hardly tells them apart."""
    assert not any(same(photo(seed), photo(seed + 1), vectors_at(0.999)) for seed in range(10))


def test_another_colour_is_another_product() -> None:
    """The hash is of grey; the vector tells, also of a photo that is its own mirror image."""
    symmetric = Image.fromarray(np.maximum(np.asarray(photo()), np.asarray(ImageOps.mirror(photo()))))
    for image in (photo(), symmetric):
        assert not same(image, image, vectors_at(0.97))


def test_one_vector_is_one_photo() -> None:
    """Whatever the hashes: an index of an earlier version has others."""
    hashes = parse_hashes([None, "0123456789abcdef"])
    assert near_identical(hashes, ALIKE, DuplicateThresholds())[0, 1]


def test_photos_without_a_hash_are_alike_to_none() -> None:
    """Two plain grounds have no bits in common, nor have unknown hashes."""
    hashes = parse_hashes([None, None])
    unknown = np.full((2, 2), np.nan)
    assert not near_identical(hashes, unknown, DuplicateThresholds()).any()
    assert not near_identical(hashes, np.empty((2, 0)), DuplicateThresholds()).any()


def test_a_hash_of_another_kind_is_unknown() -> None:
    """Of another length, or no hex digits; there may be none at all."""
    assert not parse_hashes(["0123", "x" * 128, "é" * 128, ""]).any()
    assert parse_hashes([]).shape == mirrored(parse_hashes([])).shape == (0, 512)


def test_mirroring_twice_gives_the_photo() -> None:
    """And mirroring the hash is mirroring the photo."""
    hashes = parse_hashes([hash_of(photo())])
    assert (mirrored(mirrored(hashes)) == hashes).all()
    turned = parse_hashes([hash_of(ImageOps.mirror(photo()))])
    assert overlap(mirrored(hashes), turned)[0, 0] > 0.95
