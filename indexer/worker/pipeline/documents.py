"""Construction of the stored document, the one path of events, rebuilds and repairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np

from indexer.worker.pipeline.item_state import ItemState
from mappings.listing import NO_CURRENCY, Listing, ListingDocument, image_fingerprint, instant_of

NO_PHOTO = "no_photo"

_UNKNOWN: Final[Mapping[str, Any]] = {
    "category": ("unknown",),
    "currency": NO_CURRENCY,
    "seller_id": "unknown",
}
"""What a document must have, of an item without a complete event."""


@dataclass(frozen=True)
class EncodedPhoto:
    """A photo's unit vector, (dims,) floats, and its perceptual hash in hex."""

    vector: tuple[float, ...]
    image_hash: str

    @classmethod
    def mean(cls, photos: Sequence[EncodedPhoto]) -> EncodedPhoto:
        """Return the normalized mean of several photos, with the hash of the first; one as it is."""
        if len(photos) == 1:
            return photos[0]
        total = np.sum([photo.vector for photo in photos], axis=0)
        norm = float(np.linalg.norm(total))
        return cls(tuple((total / norm).tolist()), photos[0].image_hash) if norm else photos[0]


@dataclass(frozen=True)
class PhotoProblem:
    """The reason why a listing has no vector."""

    reason: str
    detail: str


PhotoResult = EncodedPhoto | PhotoProblem | None
"""None for a tombstone, which has no photo."""


def photo_in(source: Mapping[str, Any]) -> PhotoResult:
    """Return the photo in a stored document, or the problem with it."""
    if vector := source.get("vector"):
        return EncodedPhoto(tuple(vector), source["image_hash"])
    problem = source.get("photo_problem")
    return PhotoProblem(problem, "as before") if problem else None


def to_document(
    listing: Listing, photo: PhotoResult, encoder_id: str, *, now: datetime | None = None
) -> ListingDocument:
    """Return the document of a listing; for a removed one, a tombstone without title, photos or vector."""
    return document_of(listing.item_id, ItemState.of_listing(listing), photo, encoder_id, now=now)


def document_of(
    item_id: str,
    state: ItemState,
    photo: PhotoResult,
    encoder_id: str,
    *,
    mean_of: int = 1,
    now: datetime | None = None,
) -> ListingDocument:
    """Return the document of an item in this state; a tombstone if it is removed, or not known yet.

    mean_of: the number of photos that the vector is the mean of, if the item has as many.
    """
    latest = instant_of(state.latest)
    fields = {"images": (), "created_at": latest, **_UNKNOWN, **state.listing_fields()}
    images = tuple(fields["images"])
    return ListingDocument(
        item_id=item_id,
        **fields,
        updated_at=latest,
        image_fingerprint=image_fingerprint(images, mean_of),
        image_hash=photo.image_hash if isinstance(photo, EncodedPhoto) else None,
        photo_problem=photo.reason if isinstance(photo, PhotoProblem) else None,
        encoder_id=encoder_id,
        indexed_at=now or datetime.now(UTC),
        vector=photo.vector if isinstance(photo, EncodedPhoto) else None,
        version=state.version,
        changes=tuple((name, version, value) for name, (version, value) in sorted(state.changes.items()))
        or None,
        removal_version=state.removal or None,
    )
