"""Construction of the stored document from a listing and its photo."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from indexer.worker.pipeline.status_update import StatusUpdate
from mappings.listing import Listing, ListingDocument, Status, image_fingerprint

NO_PHOTO = "no_photo"

TOMBSTONE_FIELDS: Mapping[str, Any] = {
    "title": None,
    "images": (),
    "image_fingerprint": None,
    "image_hash": None,
    "photo_problem": None,
    "attributes": {},
    "popularity": None,
    "vector": None,
}
"""The values of a tombstone's fields; it keeps the others."""


@dataclass(frozen=True)
class EncodedPhoto:
    """A photo's unit vector, (dims,) floats, and its perceptual hash in hex."""

    vector: tuple[float, ...]
    image_hash: str


@dataclass(frozen=True)
class PhotoProblem:
    """The reason why a listing has no vector."""

    reason: str
    detail: str


PhotoResult = EncodedPhoto | PhotoProblem | None
"""None for a tombstone, which has no photo."""


def to_document(
    listing: Listing, photo: PhotoResult, encoder_id: str, *, now: datetime | None = None
) -> ListingDocument:
    """Return the document of a listing; for a removed one, a tombstone without title, photos or vector."""
    encoded = photo if isinstance(photo, EncodedPhoto) else None
    document = ListingDocument(
        item_id=listing.item_id,
        title=listing.title,
        category=listing.category,
        price=listing.price,
        currency=listing.currency,
        seller_id=listing.seller_id,
        status=listing.status,
        created_at=listing.created_at,
        updated_at=listing.updated_at,
        images=listing.images,
        image_fingerprint=image_fingerprint(listing.images),
        image_hash=encoded.image_hash if encoded else None,
        photo_problem=photo.reason if isinstance(photo, PhotoProblem) else None,
        attributes=listing.attributes,
        popularity=listing.popularity,
        encoder_id=encoder_id,
        indexed_at=now or datetime.now(UTC),
        vector=encoded.vector if encoded else None,
    )
    return tombstone_if_removed(document)


def with_status(document: ListingDocument, update: StatusUpdate) -> ListingDocument:
    """Return the document with a newer status and price; a tombstone if the listing is removed."""
    changes = update.changes | {"indexed_at": datetime.now(UTC)}
    return tombstone_if_removed(document.model_copy(update=changes))


def tombstone_if_removed(document: ListingDocument) -> ListingDocument:
    """Return the document or, if its listing is removed, a tombstone."""
    return document.model_copy(update=TOMBSTONE_FIELDS) if document.status is Status.REMOVED else document
