"""Groups of duplicates and their splits."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ml.data.near_identical import PhotoPrints
from ml.data.pairs import Labels, Pair
from ml.data.splits import groups, split_of
from ml.training.read_corpus import photo_print

SMOOTH = np.random.default_rng(5).integers(0, 256, (8, 8, 3), dtype=np.uint8)


def smooth_photo(
    *, brighter: int = 0, quarter_turns: int = 0
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """A 64 × 64 image of soft blobs."""
    image = Image.fromarray(np.rot90(SMOOTH, quarter_turns)).resize((64, 64), Image.Resampling.BICUBIC)
    return (np.asarray(image).astype(int) + brighter).clip(0, 255).astype(np.uint8)


def prints_of(photos: list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]) -> PhotoPrints:
    return PhotoPrints.of([photo_print(photo) for photo in photos])


def make_pair(item_id: str, title: str = "") -> Pair:
    return Pair(item_id, Path(item_id), title, (title or "a class",), Labels("Skirts"), "shop")


def test_equal_titles_share_a_group() -> None:
    """Width, case and spaces are ignored."""
    pixels = [smooth_photo(), smooth_photo(quarter_turns=1), smooth_photo(quarter_turns=2)]
    first, second, third = groups(
        [make_pair("a", "Red Skirt"), make_pair("b", "ｒｅｄ  skirt"), make_pair("c", "Blue skirt")],
        prints_of(pixels),
    )
    assert first == second != third


def test_near_identical_photos_share_a_group_also_through_titles() -> None:
    """b has a brighter version of a's photo, c has b's title: all three share a group; d has its own."""
    photos = [
        smooth_photo(),
        smooth_photo(brighter=2),
        smooth_photo(quarter_turns=1),
        smooth_photo(quarter_turns=2),
    ]
    pairs = [make_pair("a", "one"), make_pair("b", "two"), make_pair("c", "two"), make_pair("d", "three")]
    first, second, third, other = groups(pairs, prints_of(photos))
    assert first == second == third != other


def test_equal_layouts_of_other_colours_do_not_share_a_group() -> None:
    """A red and a blue skirt have the same hash, which is computed on grey; their thumbnails differ."""
    red, blue = np.full((64, 64, 3), 255, np.uint8), np.full((64, 64, 3), 255, np.uint8)
    red[16:48, 16:48] = (200, 40, 40)
    blue[16:48, 16:48] = (70, 70, 250)
    first, second = groups([make_pair("a", "one"), make_pair("b", "two")], prints_of([red, blue]))
    assert first != second


def test_splits_do_not_depend_on_the_order_of_data() -> None:
    """The order in which files are given has no effect."""
    photos = [smooth_photo(), smooth_photo(brighter=2), smooth_photo(quarter_turns=1)]
    pairs = [make_pair("a", "one"), make_pair("b", "two"), make_pair("c", "three")]
    forwards = groups(pairs, prints_of(photos))
    assert groups(pairs[::-1], prints_of(photos[::-1]))[::-1] == forwards


def test_splits_have_the_configured_shares() -> None:
    """About 75, 10 and 15 % of titles."""
    shares = Counter(split_of(f"title {number}") for number in range(4000))
    assert shares["train"] / 4000 == pytest.approx(0.75, abs=0.02)
    assert shares["validation"] / 4000 == pytest.approx(0.10, abs=0.02)
