"""A folder of photos alone: each is a listing, its sub-folder the category."""

from __future__ import annotations

import mimetypes
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from PIL import ExifTags, Image

from indexer.intake.listing_map import ListingMap
from indexer.intake.row import Checked, Row
from indexer.intake.value_formats import local_time
from mappings.listing import EARLIEST, isoformat
from mappings.values import CATEGORY_SEPARATOR
from ml.inference import preprocess

SUFFIXES = frozenset({*preprocess.SUFFIXES, ".jxl"})
"""Suffixes of photos, since `mimetypes` does not know all of them in every Python. JPEG XL is not decoded."""
LEVELS = 5
"""Of a category; deeper folders are left out."""


def check(path: Path, rules: ListingMap) -> Checked:  # noqa: ARG001  as of every format
    """Return the number of photos below the folder."""
    return Checked(sum(1 for _ in photos(path)))


def rows(path: Path, rules: ListingMap) -> Iterator[Row]:
    """Yield a listing on sale for each photo, without a price, in the order of their paths.

    Its id is the path below the folder, its seller the photo itself, since a cap on the items of a seller
    must not hold photos of unknown sellers back.
    """
    for photo in photos(path):
        name = photo.relative_to(path).as_posix()
        changed = datetime.fromtimestamp(photo.stat().st_mtime, UTC)
        folders = photo.relative_to(path).parts[:-1] or (path.resolve().name or "photos",)
        record = {
            "item_id": name,
            "title": photo.stem,
            "category": [folder.replace(CATEGORY_SEPARATOR.strip(), " ") for folder in folders[:LEVELS]],
            "seller_id": name,
            "status": "on_sale",
            "created_at": taken_at(photo, rules.formats.timezone) or isoformat(changed),
            "updated_at": isoformat(changed),
            "images": [str(photo.resolve())],
        }
        yield Row(record, location=name)


def is_photo(file: Path) -> bool:
    """Return whether the file is a photo by its name."""
    kind = mimetypes.guess_type(file.name)[0] or ""
    return file.suffix.lower() in SUFFIXES or kind.startswith("image/")


def photos(folder: Path) -> Iterator[Path]:
    """Yield the photos below a folder that are neither hidden nor in a linked folder."""
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        files = (Path(parent, name) for name in sorted(names) if not name.startswith("."))
        yield from (file for file in files if is_photo(file) and file.is_file())


def taken_at(photo: Path, timezone: str | None) -> str | None:
    """Return when the photo was taken, by its EXIF data; None if they do not say.

    EXIF times are local: without an offset of their own or a time zone they are no instant.
    """
    try:
        with Image.open(photo) as image:
            exif = image.getexif().get_ifd(ExifTags.IFD.Exif)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    text = str(exif.get(ExifTags.Base.DateTimeOriginal, "")).strip("\0 ")
    offset = str(exif.get(ExifTags.Base.OffsetTimeOriginal, "")).strip("\0 ")
    local = text.replace(":", "-", 2)
    if offset or timezone is None:
        moment = f"{local}{offset}" if offset else ""
    else:
        moment = str(local_time(local, timezone))
    return moment if is_plausible(moment) else None


def is_plausible(text: str) -> bool:
    """Return whether the text is an instant after 1970 and before now: clocks of cameras may be wrong."""
    try:
        moment = datetime.fromisoformat(text)
        return moment.tzinfo is not None and EARLIEST < moment < datetime.now(UTC)
    except (ValueError, OverflowError):
        return False
