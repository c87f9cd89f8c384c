"""Construction of the stored document, the one path of events, rebuilds and repairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.worker.pipeline.item_state import ItemState
from mappings.creation import FURTHER_PHOTOS
from mappings.listing import (
    UNKNOWN,
    Listing,
    ListingDocument,
    UnusedPhoto,
    image_fingerprint,
    incomplete,
    instant_of,
    isoformat,
    searchable,
)

NO_PHOTO = "no_photo"


@dataclass(frozen=True)
class EncodedPhoto:
    """A photo, or what a listing's photos are together: a unit vector, (dims,) floats, and the perceptual
    hash of the first of them in hex."""

    vector: tuple[float, ...]
    image_hash: str
    further: tuple[tuple[float, ...], ...] = ()
    """The unit vectors of the listing's other photos, where each has its own."""
    further_hashes: tuple[str, ...] = ()
    """The hashes of these photos, or of those in a mean."""
    unused: tuple[UnusedPhoto, ...] = ()
    """Others of the listing's photos, which could not be used."""
    embedding: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)
    """Its full-width vector, (width,) float32, where those are kept."""

    @classmethod
    def each(cls, photos: Sequence[EncodedPhoto]) -> EncodedPhoto:
        """Return the first photo with the vectors of the others."""
        first, *others = photos
        return replace(first, further=tuple(photo.vector for photo in others), further_hashes=_hashes(others))

    def separate(self) -> list[EncodedPhoto]:
        """Return the photos that `each` was called with; none of a mean, which cannot be told apart."""
        vectors, hashes = (self.vector, *self.further), (self.image_hash, *self.further_hashes)
        if len(vectors) != len(hashes):
            return []
        return [EncodedPhoto(*pair) for pair in zip(vectors, hashes, strict=True)]

    @classmethod
    def mean(cls, photos: Sequence[EncodedPhoto]) -> EncodedPhoto:
        """Return the normalized mean of several photos, with the hash of the first; one as it is."""
        first, *others = photos
        if not others:
            return first
        total = np.sum([photo.vector for photo in photos], axis=0)
        norm = float(np.linalg.norm(total))
        vector = tuple((total / norm).tolist()) if norm else first.vector
        return cls(vector, first.image_hash, further_hashes=_hashes(others))


def _hashes(photos: Sequence[EncodedPhoto]) -> tuple[str, ...]:
    return tuple(photo.image_hash for photo in photos)


@dataclass(frozen=True)
class PhotoProblem:
    """The reason why a listing has no vector."""

    reason: str
    detail: str
    is_known: bool = False
    """Whether a document has it already, so that there is a dead letter."""


PhotoResult = EncodedPhoto | PhotoProblem | None
"""None for a tombstone, which has no photo."""


def photo_in(source: Mapping[str, Any]) -> PhotoResult:
    """Return the photo in a stored document, or the problem with it."""
    if vector := source.get("vector"):
        further = tuple(tuple(each["vector"]) for each in source.get(FURTHER_PHOTOS, ()))
        hashes = tuple(source.get("further_hashes", ()))
        unused = UnusedPhoto.all_in(source)
        return EncodedPhoto(tuple(vector), source["image_hash"], further, hashes, unused)
    problem = source.get("photo_problem")
    return PhotoProblem(problem, "the photo could not be used before", is_known=True) if problem else None


def to_document(
    listing: Listing, photo: PhotoResult, encoder_id: str, *, now: datetime | None = None
) -> ListingDocument:
    """Return the document of a listing; for a removed one, a tombstone without title, photos or vector."""
    state, fingerprint = ItemState.of_listing(listing), image_fingerprint(listing.images)
    return ListingDocument.from_source(
        source_of(listing.item_id, state, photo, encoder_id, fingerprint=fingerprint, now=now)
    )


def source_of(
    item_id: str,
    state: ItemState,
    photo: PhotoResult,
    encoder_id: str,
    *,
    fingerprint: str | None = None,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Return the document of an item in this state, as Elasticsearch stores it; a tombstone if it is removed,
    or not known yet.

    fingerprint: the `image_fingerprint` of the photos that `photo` is of.
    """
    latest = isoformat(instant_of(state.latest))
    fields = {"images": [], "attributes": {}, "created_at": latest, **UNKNOWN, **state.listing_fields()}
    encoded = photo if isinstance(photo, EncodedPhoto) else None
    source = fields | {
        "item_id": item_id,
        "updated_at": latest,
        "image_fingerprint": _fingerprint(fingerprint, encoded) if fields["images"] else None,
        "image_hash": encoded.image_hash if encoded else None,
        "photo_problem": photo.reason if isinstance(photo, PhotoProblem) else None,
        "encoder_id": encoder_id,
        "indexed_at": isoformat(now or datetime.now(UTC)),
        "version": state.version,
        "changes": [[name, at, value] for name, (at, value) in sorted(state.changes.items())] or None,
        "removal_version": state.removal or None,
        "vector": encoded.vector if encoded else None,
        "further_hashes": encoded.further_hashes or None if encoded else None,
        "unused_photos": [asdict(each) for each in encoded.unused] or None if encoded else None,
        FURTHER_PHOTOS: [{"vector": each} for each in encoded.further] or None if encoded else None,
    }
    return {name: value for name, value in source.items() if value is not None} | searchable(fields)


def _fingerprint(fingerprint: str | None, photo: EncodedPhoto | None) -> str | None:
    if fingerprint is None or photo is None or not photo.unused:
        return fingerprint
    return incomplete(fingerprint)
