"""Decisions on what to write for an item, given its events and its stored documents. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from indexer.worker.pipeline.documents import EncodedPhoto, PhotoProblem, PhotoResult, photo_in
from indexer.worker.pipeline.encoders import PhotoOf
from indexer.worker.pipeline.item_state import ItemState, join
from indexer.worker.pipeline.store import StoredDocument
from mappings.identity import IndexVectors
from mappings.listing import complete, image_fingerprint


@dataclass(frozen=True)
class Plan:
    """What to write for an item."""

    item_id: str
    known: ItemState
    """What was stored, in all indices together."""
    state: ItemState
    """That and the events."""
    behind: Mapping[str, StoredDocument | None]
    """The indices to write to, each with the document that is replaced."""
    vectors: Mapping[str, IndexVectors]
    """Each of these indices to what its vectors are of."""
    stored_photos: Mapping[IndexVectors, PhotoResult]
    """The photo that is stored already, or what is wrong with it, where it need not be loaded."""
    references: Sequence[str] = ()
    """Those of all photos; none of a removed item."""
    mean_of: int = 1
    """The number of photos that a vector is the mean of, where an index has one vector a listing."""

    def images(self, vectors: IndexVectors) -> Sequence[str]:
        """Return the references of the photos that are encoded, the first ones."""
        return self.references[: photos_encoded(vectors, self.mean_of)]

    def fingerprint(self, vectors: IndexVectors) -> str | None:
        """Return that of all references, and of how many of them are encoded."""
        return image_fingerprint(self.references, photos_encoded(vectors, self.mean_of))

    @cached_property
    def wanted(self) -> set[PhotoOf]:
        """The photos to load, for each encoder that needs them."""
        return {
            PhotoOf(reference, vectors.encoder_id)
            for vectors in set(self.vectors.values()) - self.stored_photos.keys()
            for reference in self.images(vectors)
        }


def photos_encoded(vectors: IndexVectors, mean_of: int) -> int:
    """Return the number of photos of a listing that are encoded for an index."""
    return vectors.photos if vectors.photos > 1 else mean_of


def plan(
    item_id: str,
    events: Sequence[ItemState],
    stored: Mapping[str, StoredDocument | None],
    vectors: Mapping[str, IndexVectors],
    *,
    retry: bool = False,
    mean_of: int = 1,
) -> Plan:
    """Return what to write for an item.

    stored: the document of the item by index, None if the index has none.
    vectors: what those of each index are of.
    retry: try once more to load photos that could not be loaded before.
    mean_of: the number of photos that a vector is the mean of, where an index has one vector a listing.
    """
    states = {index: document.state for index, document in stored.items() if document}
    known = join(states.values())
    state = join([known, *events])
    # A complete event that is repeated is a reason, too.
    retry = not state.is_removed and (retry or any(event.version == state.version for event in events))
    behind = {
        index: document
        for index, document in stored.items()
        if document is None
        or states[index].versions != state.versions
        or document.source["encoder_id"] != vectors[index].encoder_id
        or (retry and (document.vector is None or document.is_incomplete))
    }
    if not state.latest:  # nothing is known of the item
        behind = {}
    references = state.listing_fields().get("images", ())
    photos: dict[IndexVectors, PhotoResult] = {}
    for index, document in stored.items():
        if document is None:
            continue
        of_document = IndexVectors(document.source["encoder_id"], vectors[index].photos)
        fingerprint = image_fingerprint(references, photos_encoded(of_document, mean_of))
        photo = _stored_photo(document, fingerprint, retry=retry)
        tried = isinstance(photo, PhotoProblem) and not retry and state.version == known.version
        if isinstance(photo, EncodedPhoto) or (tried and of_document not in photos):
            photos[of_document] = photo
    return Plan(
        item_id,
        known,
        state,
        behind,
        {index: vectors[index] for index in behind},
        photos,
        references,
        mean_of,
    )


def _stored_photo(document: StoredDocument, fingerprint: str | None, *, retry: bool) -> PhotoResult:
    """Return the stored photo, or the problem with it, if the references are unchanged."""
    stored: str | None = document.source.get("image_fingerprint")
    if stored and not retry:
        stored = complete(stored)
    return photo_in(document.source) if stored == fingerprint else None
