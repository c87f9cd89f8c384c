"""Decisions on what to write for an item, given its events and its stored documents. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from indexer.worker.pipeline.documents import EncodedPhoto, PhotoProblem, PhotoResult, photo_in
from indexer.worker.pipeline.encoders import PhotoOf
from indexer.worker.pipeline.item_state import ItemState, join
from indexer.worker.pipeline.store import StoredDocument
from mappings.listing import image_fingerprint


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
    encoders: Mapping[str, str]
    """Each of these indices to its encoder."""
    stored_photos: Mapping[str, PhotoResult]
    """Encoder to the photo that is stored already, or what is wrong with it, where it need not be loaded."""
    images: Sequence[str] = ()
    """The references of the photos that are encoded, the first ones; none of a removed item."""
    fingerprint: str | None = None
    """That of all references, and of how many of them are encoded."""

    @cached_property
    def wanted(self) -> set[PhotoOf]:
        """The photos to load, for each encoder that needs them."""
        missing = set(self.encoders.values()) - self.stored_photos.keys()
        return {PhotoOf(reference, encoder_id) for reference in self.images for encoder_id in missing}


def plan(
    item_id: str,
    events: Sequence[ItemState],
    stored: Mapping[str, StoredDocument | None],
    encoders: Mapping[str, str],
    *,
    retry: bool = False,
    mean_of: int = 1,
) -> Plan:
    """Return what to write for an item.

    stored: the document of the item by index, None if the index has none.
    encoders: the encoder of each index.
    retry: try once more to load a photo that could not be loaded before.
    mean_of: the number of photos that the vector is the mean of.
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
        or document.source["encoder_id"] != encoders[index]
        or (retry and document.vector is None)
    }
    if not state.latest:  # nothing is known of the item
        behind = {}
    images = state.listing_fields().get("images", ())
    fingerprint = image_fingerprint(images, mean_of)
    photos: dict[str, PhotoResult] = {}
    for document in filter(None, stored.values()):
        photo = _stored_photo(document, fingerprint)
        tried = isinstance(photo, PhotoProblem) and not retry and state.version == known.version
        if isinstance(photo, EncodedPhoto) or tried:
            encoder_id = document.source["encoder_id"]
            if not isinstance(photos.get(encoder_id), EncodedPhoto):
                photos[encoder_id] = photo
    return Plan(
        item_id,
        known,
        state,
        behind,
        {index: encoders[index] for index in behind},
        photos,
        images[:mean_of],
        fingerprint,
    )


def _stored_photo(document: StoredDocument, fingerprint: str | None) -> PhotoResult:
    """Return the stored photo, or the problem with it, if the references are unchanged."""
    same = document.source.get("image_fingerprint") == fingerprint
    return photo_in(document.source) if same else None
