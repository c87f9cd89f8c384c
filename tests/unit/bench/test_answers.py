"""How the benchmark of answers judges whether two photos are one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from bench.answers import MOST_DIFFERENT, difference, thumbnail
from ml.data.synthetic_photos import synthetic_photo


def differing(folder: Path, one: Image.Image, other: Image.Image, quality: int = 90) -> float:
    """The difference of two photos, the second saved at a quality."""
    one.save(folder / "one.png")
    other.save(folder / "other.jpg", quality=quality)
    return difference(thumbnail(folder / "one.png"), thumbnail(folder / "other.jpg"))


def photo(seed: int) -> Image.Image:
    """A drawn photo."""
    return Image.fromarray(synthetic_photo(np.random.default_rng(seed), 224, 224))


@pytest.mark.parametrize(
    ("change", "quality"),
    [
        (lambda image: image, 30),
        (ImageOps.mirror, 90),
        (lambda image: image.crop((6, 6, 218, 218)), 90),
        (lambda image: ImageOps.mirror(image.crop((11, 11, 213, 213))), 90),
    ],
    ids=["saved again", "mirrored", "cropped", "mirrored and cropped"],
)
def test_a_relisted_photo_is_one(
    tmp_path: Path, change: Callable[[Image.Image], Image.Image], quality: int
) -> None:
    """Whichever of the two is the relisting."""
    for seed in range(3):
        assert differing(tmp_path, photo(seed), change(photo(seed)), quality) <= MOST_DIFFERENT
        assert differing(tmp_path, change(photo(seed)), photo(seed), quality) <= MOST_DIFFERENT


def test_another_colour_on_white_ground_is_another_photo(tmp_path: Path) -> None:
    """Most of both is the same white, which does not count."""
    shirts = []
    for colour in ("navy", "maroon"):
        shirt = Image.new("RGB", (224, 224), "white")
        shirt.paste(Image.new("RGB", (60, 80), colour), (80, 70))
        shirts.append(shirt)
    assert differing(tmp_path, shirts[0], shirts[0]) <= MOST_DIFFERENT
    assert differing(tmp_path, *shirts) > 2 * MOST_DIFFERENT
