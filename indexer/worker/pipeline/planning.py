"""Decisions on what to write for an event, given the stored documents of its item. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from indexer.summary import OUTDATED, UNCHANGED, EventOutcome
from indexer.worker.pipeline.chunk import Candidate
from indexer.worker.pipeline.documents import EncodedPhoto
from indexer.worker.pipeline.status_update import status_update_of
from indexer.worker.pipeline.store import StoredDocument
from mappings.listing import Status, image_fingerprint


@dataclass(frozen=True)
class PlannedWrite:
    """An event to write to these indices, with the photo that is stored already if it is unchanged."""

    candidate: Candidate
    indices: tuple[str, ...]
    stored_photo: EncodedPhoto | None

    @property
    def reference(self) -> str | None:
        """The photo to load, which is the first one; None if no photo is to be loaded."""
        listing = self.candidate.listing
        if self.stored_photo or listing.status is Status.REMOVED or not listing.images:
            return None
        return listing.images[0]


def plan(
    candidate: Candidate, stored: Mapping[str, StoredDocument | None], encoder_id: str
) -> PlannedWrite | EventOutcome:
    """Return what to write for an event, or its outcome if nothing is to be written.

    `stored` has the document of the item by index, None if the index has none.
    """
    found = {index: document for index, document in stored.items() if document is not None}
    candidate = with_newest_status(candidate, found.values())
    behind = tuple(index for index in stored if not is_current(found.get(index), candidate, encoder_id))
    if not behind:
        newer = any(document.version > candidate.version for document in found.values())
        return OUTDATED if newer else UNCHANGED
    fingerprint = image_fingerprint(candidate.listing.images)
    photos = (reusable_photo(document, fingerprint, encoder_id) for document in found.values())
    return PlannedWrite(candidate, behind, next(filter(None, photos), None))


def least_version(documents: Iterable[StoredDocument | None]) -> int:
    """Return the least version of these documents, of content or status; 0 if one is missing."""
    versions = (
        max(document.version, status_update_of(document.source).version) if document else 0
        for document in documents
    )
    return min(versions, default=0)


def with_newest_status(candidate: Candidate, documents: Iterable[StoredDocument]) -> Candidate:
    """Return the candidate with the status and price of a later event that was rejected."""
    updates = [status_update_of(document.source) for document in documents]
    newest = max(updates, key=lambda update: update.version, default=None)
    if newest is None or not newest.overrides(candidate.listing.status, candidate.version):
        return candidate
    return replace(candidate, listing=candidate.listing.model_copy(update=newest.changes))


def is_current(document: StoredDocument | None, candidate: Candidate, encoder_id: str) -> bool:
    """Return whether an index needs no write: it has a newer version, or a complete document of this one."""
    if document is None or document.version < candidate.version:
        return False
    if document.version > candidate.version:
        return True
    complete = candidate.listing.status is Status.REMOVED or document.vector is not None
    return complete and document.source["encoder_id"] == encoder_id


def reusable_photo(document: StoredDocument, fingerprint: str | None, encoder_id: str) -> EncodedPhoto | None:
    """Return the stored photo if the references and the encoder are unchanged."""
    source, vector = document.source, document.vector
    same = source.get("image_fingerprint") == fingerprint and source["encoder_id"] == encoder_id
    return EncodedPhoto(vector, source["image_hash"]) if same and vector else None
