"""The photos of a folder and its sub-folders."""

import os
from dataclasses import dataclass
from pathlib import Path

from ml.inference.decoding.formats import HEAD_BYTES, head_format
from ml.inference.preprocess import SUFFIXES


@dataclass(frozen=True)
class FolderFiles:
    """The files of a folder and its sub-folders."""

    photos: list[Path]
    """Sorted."""
    left_out: dict[Path, str]
    """Reason code by path, for everything else."""


def files_under(folder: Path) -> FolderFiles:
    """List every file of a folder and its sub-folders; photos are recognised by suffix or first bytes."""
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
    """Whether a file is a photo. True if it cannot be read: reading it later gives the precise reason."""
    if path.exists() and not path.is_file():  # reading a pipe would block
        return False
    if path.suffix.lower() in SUFFIXES:
        return True
    try:
        with path.open("rb") as file:
            return head_format(file.read(HEAD_BYTES)) is not None
    except OSError:
        return True
