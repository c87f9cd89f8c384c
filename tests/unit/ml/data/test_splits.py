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
    """A 64 × 64 picture of soft blobs."""
    image = Image.fromarray(np.rot90(SMOOTH, quarter_turns)).resize((64, 64), Image.Resampling.BICUBIC)
    return (np.asarray(image).astype(int) + brighter).clip(0, 255).astype(np.uint8)


def prints_of(photos: list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]) -> PhotoPrints:
    return PhotoPrints.of([photo_print(photo) for photo in photos])


def make_pair(item_id: str, title: str = "") -> Pair:
    return Pair(item_id, Path(item_id), title, (title or "a class",), Labels("Skirts"), "shop")


def test_same_titles_share_a_group_whatever_their_spelling() -> None:
    """Width, case and spaces make no other title."""
    pixels = [smooth_photo(), smooth_photo(quarter_turns=1), smooth_photo(quarter_turns=2)]
    first, second, third = groups(
        [make_pair("a", "Red Skirt"), make_pair("b", "ｒｅｄ  skirt"), make_pair("c", "Blue skirt")],
        prints_of(pixels),
    )
    assert first == second != third


def test_near_identical_photos_share_a_group_also_through_titles() -> None:
    """b has a's photo a shade brighter, c has b's title: all three stay together; d is alone."""
    photos = [
        smooth_photo(),
        smooth_photo(brighter=2),
        smooth_photo(quarter_turns=1),
        smooth_photo(quarter_turns=2),
    ]
    pairs = [make_pair("a", "one"), make_pair("b", "two"), make_pair("c", "two"), make_pair("d", "three")]
    first, second, third, other = groups(pairs, prints_of(photos))
    assert first == second == third != other


def test_alike_layouts_of_other_colours_do_not_share_a_group() -> None:
    """A red and a blue skirt have one hash, for it sees grey alone; their colours tell them apart."""
    red, blue = np.full((64, 64, 3), 255, np.uint8), np.full((64, 64, 3), 255, np.uint8)
    red[16:48, 16:48] = (200, 40, 40)
    blue[16:48, 16:48] = (70, 70, 250)
    first, second = groups([make_pair("a", "one"), make_pair("b", "two")], prints_of([red, blue]))
    assert first != second


def test_the_order_of_data_moves_nothing_across_splits() -> None:
    """The split stays the same when files are named in another order."""
    photos = [smooth_photo(), smooth_photo(brighter=2), smooth_photo(quarter_turns=1)]
    pairs = [make_pair("a", "one"), make_pair("b", "two"), make_pair("c", "three")]
    forwards = groups(pairs, prints_of(photos))
    assert groups(pairs[::-1], prints_of(photos[::-1]))[::-1] == forwards


def test_splits_have_the_shares_they_should() -> None:
    """About 75, 10 and 15 of a hundred titles train, validate and test."""
    shares = Counter(split_of(f"title {number}") for number in range(4000))
    assert shares["train"] / 4000 == pytest.approx(0.75, abs=0.02)
    assert shares["validation"] / 4000 == pytest.approx(0.10, abs=0.02)
