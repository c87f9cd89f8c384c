"""A listing and what is known of its photo to the document that is stored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from mappings.listing import Listing, ListingDocument, Status, category_paths, image_fingerprint

NO_PHOTO = "no_photo"


@dataclass(frozen=True)
class Picture:
    """What a photo became: a unit vector (dims floats) and a 64-bit perceptual hash in hex."""

    vector: tuple[float, ...]
    image_hash: str


@dataclass(frozen=True)
class PhotoProblem:
    """Why a listing has no vector."""

    reason: str
    detail: str


Photo = Picture | PhotoProblem | None
"""None for a tombstone, which keeps no photo."""


def to_document(
    listing: Listing, photo: Photo, encoder_id: str, *, now: datetime | None = None
) -> ListingDocument:
    """The document of a listing; of a removed one a tombstone without title, photos or vector."""
    removed = listing.status is Status.REMOVED
    picture = photo if isinstance(photo, Picture) and not removed else None
    problem = photo.reason if isinstance(photo, PhotoProblem) and not removed else None
    return ListingDocument(
        item_id=listing.item_id,
        title=None if removed else listing.title,
        category=listing.category,
        category_paths=category_paths(listing.category),
        price=listing.price,
        currency=listing.currency,
        seller_id=listing.seller_id,
        status=listing.status,
        created_at=listing.created_at,
        updated_at=listing.updated_at,
        images=() if removed else listing.images,
        image_fingerprint=None if removed else image_fingerprint(listing.images),
        image_hash=picture.image_hash if picture else None,
        photo_problem=problem,
        attributes={} if removed else listing.attributes,
        encoder_id=encoder_id,
        indexed_at=now or datetime.now(UTC),
        vector=picture.vector if picture else None,
    )
