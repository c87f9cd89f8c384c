"""A listing and what is known of its photo to the document that is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from indexer.worker.status_update import StatusUpdate
from mappings.listing import Listing, ListingDocument, Status, category_paths, image_fingerprint

NO_PHOTO = "no_photo"

EMPTIED: Mapping[str, Any] = {
    "title": None,
    "images": (),
    "image_fingerprint": None,
    "image_hash": None,
    "photo_problem": None,
    "attributes": {},
    "vector": None,
}
"""What a tombstone no longer tells."""


@dataclass(frozen=True)
class EncodedPhoto:
    """What a photo became: a unit vector (dims floats) and a 64-bit perceptual hash in hex."""

    vector: tuple[float, ...]
    image_hash: str


@dataclass(frozen=True)
class PhotoProblem:
    """Why a listing has no vector."""

    reason: str
    detail: str


PhotoResult = EncodedPhoto | PhotoProblem | None
"""None for a tombstone, which keeps no photo."""


def to_document(
    listing: Listing, photo: PhotoResult, encoder_id: str, *, now: datetime | None = None
) -> ListingDocument:
    """The document of a listing; of a removed one a tombstone without title, photos or vector."""
    picture = photo if isinstance(photo, EncodedPhoto) else None
    document = ListingDocument(
        item_id=listing.item_id,
        title=listing.title,
        category=listing.category,
        category_paths=category_paths(listing.category),
        price=listing.price,
        currency=listing.currency,
        seller_id=listing.seller_id,
        status=listing.status,
        created_at=listing.created_at,
        updated_at=listing.updated_at,
        images=listing.images,
        image_fingerprint=image_fingerprint(listing.images),
        image_hash=picture.image_hash if picture else None,
        photo_problem=photo.reason if isinstance(photo, PhotoProblem) else None,
        attributes=listing.attributes,
        encoder_id=encoder_id,
        indexed_at=now or datetime.now(UTC),
        vector=picture.vector if picture else None,
    )
    return without_content(document)


def with_status(document: ListingDocument, update: StatusUpdate) -> ListingDocument:
    """The document with a newer status and price, all else kept; a tombstone of a removed listing."""
    return without_content(document.model_copy(update=update.changes | {"indexed_at": datetime.now(UTC)}))


def without_content(document: ListingDocument) -> ListingDocument:
    """The document itself or, of a removed listing, its tombstone."""
    return document.model_copy(update=EMPTIED) if document.status is Status.REMOVED else document
