"""Photos from this machine's disk, for browsers: only from allowed folders, only image files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import BinaryIO

from mappings.errors import UnsafePhotoPath
from mappings.image_roots import ImageRoots, is_remote
from mappings.listing import ListingDocument
from ml.inference.decoding.formats import HEAD_BYTES, Format, head_format
from query.api.errors import PhotoMissing

# The formats that the encoder reads. Safari alone shows HEIC. SVG is not one: it can carry scripts.
_MEDIA_TYPES: dict[Format, str] = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WebP": "image/webp",
    "GIF": "image/gif",
    "BMP": "image/bmp",
    "HEIC": "image/heic",
    "AVIF": "image/avif",
}


@dataclass(frozen=True)
class PhotoFile:
    """An open image file, at its start. The caller closes `stream`."""

    stream: BinaryIO
    mimetype: str
    etag: str
    modified: datetime


def open_photo(document: ListingDocument, number: int, roots: ImageRoots) -> PhotoFile:
    """Open a photo of a listing; `number` counts from 0.

    The media type follows from the first bytes of the file, not from its name.

    Raises:
        PhotoMissing: no such photo, one on another host, an unsafe path, or a file that is no image.
    """
    reference = _reference(document, number)
    try:
        # Unbuffered: servers send from the descriptor's own place, which a buffer would have moved on.
        stream = roots.resolve(reference).open("rb", buffering=0)
    except UnsafePhotoPath as error:
        raise PhotoMissing(document.item_id, number, error.reason) from error
    except OSError as error:
        raise PhotoMissing(document.item_id, number, "photo_not_readable") from error
    mimetype = sniff(stream.read(HEAD_BYTES))
    if mimetype is None:
        stream.close()
        raise PhotoMissing(document.item_id, number, "photo_not_an_image")
    stream.seek(0)
    state = os.fstat(stream.fileno())
    return PhotoFile(
        stream=stream,
        mimetype=mimetype,
        etag=f"{state.st_mtime_ns:x}-{state.st_size:x}",
        modified=datetime.fromtimestamp(state.st_mtime, UTC),
    )


def sniff(head: bytes) -> str | None:
    """The media type by a file's first bytes, or None if it is no image."""
    kind = head_format(head)
    return _MEDIA_TYPES[kind] if kind else None


def _reference(document: ListingDocument, number: int) -> str:
    if number >= len(document.images):
        raise PhotoMissing(document.item_id, number, "photo_not_listed")
    if is_remote(document.images[number]):
        raise PhotoMissing(document.item_id, number, "photo_is_elsewhere")
    return document.images[number]
