"""What is searched, what is left out, and what cannot be checked."""

import shutil
from pathlib import Path

import pytest

from ml.data.pairs import NoPairs
from ml.evaluation.check.sample import TooFewCategories, read_sample
from tests.unit.ml.conftest import draw_photo, make_event, write_listings


def make_shop(folder: Path, kinds: list[str]) -> Path:
    """Listings of red things."""
    events = []
    for number, kind in enumerate(kinds):
        draw_photo(folder / "images" / f"m{number}.png", "Red", kind, number)
        events.append(make_event(f"m{number}", category=["Apparel", kind]))
    return write_listings(folder, events)


def test_a_sample_is_the_same_in_every_run(tmp_path: Path) -> None:
    """At most so many listings, in the order of the file."""
    listings = make_shop(tmp_path, ["Ties", "Skirts"] * 10)
    first, second = read_sample([listings], 12), read_sample([listings], 12)
    assert [pair.item_id for pair in first.pairs] == [pair.item_id for pair in second.pairs]
    numbers = [int(pair.item_id[1:]) for pair in first.pairs]
    assert numbers == sorted(numbers)
    assert len(numbers) + first.left_out["photo_near_identical"] == 12
    assert first.listings == 20


def test_class_folders_are_read(tmp_path: Path) -> None:
    """The folder of a photo is its category."""
    for number in range(6):
        kind = ("Ties", "Skirts")[number % 2]
        draw_photo(tmp_path / kind.lower() / f"{number}.png", "Blue", kind, number)
    assert set(read_sample([tmp_path], 100).categories.tolist()) == {"ties", "skirts"}


def test_copies_and_broken_photos_are_left_out_and_counted(tmp_path: Path) -> None:
    """A copy would be the nearest neighbour by any encoder."""
    listings = make_shop(tmp_path, ["Ties", "Skirts", "Ties", "Belts", "Skirts"])
    shutil.copy(tmp_path / "images" / "m0.png", tmp_path / "images" / "m2.png")
    (tmp_path / "images" / "m3.png").write_bytes(b"<html>404</html>")
    sample = read_sample([listings], 100)
    assert sample.left_out["photo_near_identical"] >= 1
    assert "m2" not in [pair.item_id for pair in sample.pairs]
    assert sample.left_out["photo_not_an_image"] == 1
    assert len(sample.pixels) == len(sample.pairs)


def test_listings_without_photo_files_name_the_reason(tmp_path: Path) -> None:
    """Such as listings whose images are URLs."""
    listings = write_listings(tmp_path, [make_event(images=["https://example.org/1.jpg"])])
    with pytest.raises(NoPairs, match=r"no usable photo in .*: 1 photo_unreadable; .*URLs are not fetched"):
        read_sample([listings], 100)


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        (["Ties"] * 3, "3 usable photos, all of the category 'Ties', so any neighbour would do"),
        (["Ties", "Skirts"], "2 usable photos in as many categories"),
    ],
)
def test_categories_that_decide_nothing_are_an_error(tmp_path: Path, kinds: list[str], message: str) -> None:
    """One category, or one listing in each."""
    with pytest.raises(TooFewCategories, match=message):
        read_sample([make_shop(tmp_path, kinds)], 100)
