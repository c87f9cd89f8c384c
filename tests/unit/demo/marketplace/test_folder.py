"""A marketplace on disk: whole, repeatable, and never written over something else by accident."""

import json
from pathlib import Path

import pytest
from PIL import Image

from demo.marketplace.folder import FolderNotEmpty, Written, write_marketplace
from demo.marketplace.listings import generate, photos_at
from demo.marketplace.photos import encode_photo


def lines(file: Path) -> list[object]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_a_folder_holds_every_listing_and_every_photo_it_names(tmp_path: Path) -> None:
    """The lines are what `generate` gives, and each image opens at the size asked for."""
    written = write_marketplace(tmp_path / "market", 20, seed=7, photo_size=48)
    listings = list(generate(20, 7))
    assert lines(tmp_path / "market" / "listings.jsonl") == listings
    named = {image for listing in listings for image in listing["images"]}
    assert {str(file.relative_to(tmp_path / "market")) for file in tmp_path.rglob("*.jpg")} == named
    assert written == Written(listings=20, photos=len(named))
    for image in named:
        with Image.open(tmp_path / "market" / image) as photo:
            assert photo.size == (48, 48)


def test_several_processes_write_what_one_does(tmp_path: Path) -> None:
    """The bytes of every file are equal."""
    write_marketplace(tmp_path / "one", 70, seed=3, photo_size=32, processes=1)
    write_marketplace(tmp_path / "two", 70, seed=3, photo_size=32, processes=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_a_photo_file_is_the_photo_drawn_on_demand(tmp_path: Path) -> None:
    """Nothing is lost by not storing photos."""
    write_marketplace(tmp_path / "market", 3, seed=7, photo_size=40)
    assert (tmp_path / "market/images/d0000003-1.jpg").read_bytes() == encode_photo(photos_at(3, 7)[0], 40)


def test_a_folder_that_is_not_empty_is_refused(tmp_path: Path) -> None:
    """Refused by name, with the way out, and nothing is touched."""
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FolderNotEmpty, match="--force") as caught:
        write_marketplace(tmp_path, 5, seed=7, photo_size=32)
    assert str(tmp_path) in str(caught.value)
    assert contents(tmp_path) == {"notes.txt": b"mine"}


def test_force_replaces_the_earlier_marketplace_and_keeps_other_files(tmp_path: Path) -> None:
    """No photo of the larger one before is left; notes.txt is."""
    write_marketplace(tmp_path / "old", 30, seed=1, photo_size=32)
    (tmp_path / "old" / "notes.txt").write_text("mine")
    write_marketplace(tmp_path / "old", 5, seed=7, photo_size=32, force=True)
    write_marketplace(tmp_path / "new", 5, seed=7, photo_size=32)
    assert contents(tmp_path / "old") == {**contents(tmp_path / "new"), "notes.txt": b"mine"}
