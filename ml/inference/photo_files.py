"""The photos of a folder and its sub-folders."""

import os
from dataclasses import dataclass
from pathlib import Path

from ml.inference.decoding.formats import HEAD_BYTES, head_format
from ml.inference.preprocess import SUFFIXES


@dataclass(frozen=True)
class FolderFiles:
    """What lies in a folder and its sub-folders."""

    photos: list[Path]
    """Sorted."""
    left_out: dict[Path, str]
    """Everything else, with the reason code."""


def files_under(folder: Path) -> FolderFiles:
    """Every file of a folder and its sub-folders; a photo is one by its suffix or by its first bytes."""
    files = FolderFiles([], {})
    unreadable: list[OSError] = []
    for parent, folders, names in os.walk(folder, onerror=unreadable.append):
        links = [Path(parent, name) for name in folders if Path(parent, name).is_symlink()]
        files.left_out.update(dict.fromkeys(links, "link_to_folder"))
        for path in (Path(parent, name) for name in names):
            if is_photo(path):
                files.photos.append(path)
            else:
                files.left_out[path] = "not_a_photo"
    files.left_out.update({Path(error.filename): "folder_unreadable" for error in unreadable})
    files.photos.sort()
    return files


def is_photo(path: Path) -> bool:
    """Also of a file that cannot be read, which is left out with its own reason when its photo is read."""
    if path.exists() and not path.is_file():  # a pipe would wait for somebody to write
        return False
    if path.suffix.lower() in SUFFIXES:
        return True
    try:
        with path.open("rb") as file:
            return head_format(file.read(HEAD_BYTES)) is not None
    except OSError:
        return True
