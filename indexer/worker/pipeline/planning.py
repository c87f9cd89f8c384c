"""Decisions on what to write for an item, given its events and its stored documents. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from indexer.worker.pipeline.documents import EncodedPhoto, PhotoProblem, PhotoResult
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
    stored_photo: PhotoResult
    """The photo that is stored already, or what is wrong with it, where it need not be loaded again."""

    @property
    def images(self) -> Sequence[str]:
        """The references of its photos; none of a removed item."""
        return tuple(self.state.listing_fields().get("images", ()))

    @property
    def reference(self) -> str | None:
        """The photo to load, which is the first one; None if no photo is to be loaded."""
        return None if self.stored_photo or not self.behind or not self.images else self.images[0]


def plan(
    item_id: str, events: Sequence[ItemState], stored: Mapping[str, StoredDocument | None], encoder_id: str
) -> Plan:
    """Return what to write for an item.

    stored: the document of the item by index, None if the index has none.
    """
    states = {index: document.state for index, document in stored.items() if document}
    known = join(states.values())
    state = join([known, *events])
    # A complete event that is repeated tries once more to get its photo.
    repeated = not state.is_removed and any(event.version == state.version for event in events)
    behind = {
        index: document
        for index, document in stored.items()
        if document is None
        or states[index].versions != state.versions
        or document.source["encoder_id"] != encoder_id
        or (repeated and document.vector is None)
    }
    fingerprint = image_fingerprint(tuple(state.listing_fields().get("images", ())))
    photos = [
        photo
        for document in stored.values()
        if document and (photo := _stored_photo(document, fingerprint, encoder_id))
    ]
    encoded = next((photo for photo in photos if isinstance(photo, EncodedPhoto)), None)
    problem = next(iter(photos), None) if state.version == known.version and not repeated else None
    return Plan(item_id, known, state, behind, encoded or problem)


def _stored_photo(document: StoredDocument, fingerprint: str | None, encoder_id: str) -> PhotoResult:
    """Return the stored photo, or the problem with it, if the references and the encoder are unchanged."""
    source, vector = document.source, document.vector
    if source.get("image_fingerprint") != fingerprint or source["encoder_id"] != encoder_id:
        return None
    if vector:
        return EncodedPhoto(vector, source["image_hash"])
    problem = source.get("photo_problem")
    return PhotoProblem(problem, "as before") if problem else None
