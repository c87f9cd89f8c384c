"""Which files of a folder are photos."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from PIL import Image

from ml.inference.photo_files import files_under, is_photo


def save_photo(path: Path, kind: str = "png") -> Path:
    """Save a small photo, whatever the suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        Image.fromarray(np.full((8, 8, 3), 90, np.uint8)).save(file, kind)
    return path


def test_photos_of_all_sub_folders_are_found_in_order(tmp_path: Path) -> None:
    """By their suffix in any case, or by their first bytes."""
    photos = [
        save_photo(tmp_path / "a" / "1.JPG", "jpeg"),
        save_photo(tmp_path / "b" / "download", "webp"),
        save_photo(tmp_path / "c.png"),
    ]
    notes = tmp_path / "b" / "notes.txt"
    notes.write_text("no photo", encoding="utf-8")
    files = files_under(tmp_path)
    assert files.photos == photos
    assert files.left_out == {notes: "not_a_photo"}


def test_links_to_folders_are_left_out_with_their_reason(tmp_path: Path) -> None:
    """They may lead in a circle."""
    save_photo(tmp_path / "real" / "1.png")
    (tmp_path / "real" / "again").symlink_to(tmp_path, target_is_directory=True)
    files = files_under(tmp_path)
    assert files.photos == [tmp_path / "real" / "1.png"]
    assert files.left_out == {tmp_path / "real" / "again": "link_to_folder"}


def test_a_folder_that_does_not_exist_is_unreadable(tmp_path: Path) -> None:
    """Named, not skipped."""
    assert files_under(tmp_path / "none").left_out == {tmp_path / "none": "folder_unreadable"}


def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    """It would block until somebody writes to it."""
    os.mkfifo(tmp_path / "pipe.jpg")
    assert not is_photo(tmp_path / "pipe.jpg")


def test_a_file_that_cannot_be_read_counts_as_a_photo(tmp_path: Path) -> None:
    """Its own error is reported when it is decoded."""
    (tmp_path / "broken").symlink_to(tmp_path / "nothing")
    assert is_photo(tmp_path / "broken")
