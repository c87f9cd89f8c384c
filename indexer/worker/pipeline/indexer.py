"""Indexing of a chunk of events, the one path of every event from validation to its document."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from indexer.photos.load import PhotoLoader, Pixels
from indexer.worker.pipeline.chunk import Chunk, parse
from indexer.worker.pipeline.dead_letters import DeadLetters
from indexer.worker.pipeline.documents import NO_PHOTO, EncodedPhoto, PhotoProblem, PhotoResult, document_of
from indexer.worker.pipeline.outcomes import KEPT_UNTIL_KNOWN, obsolete, record_outcomes
from indexer.worker.pipeline.planning import Plan, plan
from indexer.worker.pipeline.store import DocumentWrite, ListingStore
from mappings.failures import Failure, PermanentFailure, TransientFailure
from ml.inference.encoder import ImageEncoder
from ml.inference.gradient_hash import gradient_hash

MAX_ROUNDS: Final = 10
"""More than one is needed only if another writer changes an item within the milliseconds between read and
write."""

Photos = dict[str, EncodedPhoto | Failure]
"""What became of each photo of a chunk, by reference."""


@dataclass(frozen=True)
class Indexer:
    """Indexes events with the store, the photo loader and the encoder that it is given."""

    store: ListingStore
    photo_loader: PhotoLoader
    encoder: ImageEncoder
    dead_letters: DeadLetters

    def index(self, events: Sequence[object], *, attempt: int = 1, final: bool = False) -> Chunk:
        """Index the events and return their outcomes.

        Events wait if Elasticsearch is unavailable, or if their photo is; on the `final` attempt a listing
        whose photo is unavailable is written without a vector.
        """
        chunk = parse(events, attempt)
        try:
            self._settle(chunk, final=final)
            with chunk.stage_times.measure("write"):
                self.dead_letters.write(chunk.dead_letters.values())
                self._clean_up(chunk)
        except TransientFailure as failure:
            chunk.defer(failure)
        return chunk

    def _settle(self, chunk: Chunk, *, final: bool) -> None:
        """Bring the documents of all items up to date."""
        photos: Photos = {}
        written: set[str] = set()
        items: Sequence[str] = list(chunk.entries)
        for _ in range(MAX_ROUNDS):
            if not items:
                return
            plans = self._plan(chunk, items)
            self._load(chunk, plans, photos)
            items = self._write(chunk, plans, photos, written, final=final)
        positions = [entry.position for item in items for entry in chunk.entries[item]]
        chunk.wait(
            positions, TransientFailure("concurrent_updates", "other writers changed the item each time")
        )

    def _plan(self, chunk: Chunk, items: Sequence[str]) -> list[Plan]:
        with chunk.stage_times.measure("read"):
            chunk.indices = tuple(self.store.indices())
            stored = {index: self.store.read(index, items) for index in chunk.indices}
        encoder_id = self.store.identity.encoder_id
        return [
            plan(
                item,
                [entry.state for entry in chunk.entries[item]],
                {index: documents.get(item) for index, documents in stored.items()},
                encoder_id,
            )
            for item in items
        ]

    def _load(self, chunk: Chunk, plans: Iterable[Plan], photos: Photos) -> None:
        """Add the photos that are to be loaded and encoded."""
        references = {each.reference for each in plans if each.reference} - photos.keys()
        with chunk.stage_times.measure("photos"):
            loaded = self.photo_loader.load(sorted(references), chunk.stage_times)
        pixels = {reference: found for reference, found in loaded.items() if isinstance(found, np.ndarray)}
        with chunk.stage_times.measure("encode"):
            photos |= self._encode(pixels)
        photos |= {reference: found for reference, found in loaded.items() if isinstance(found, Failure)}
        chunk.encoded += len(pixels)

    def _encode(self, pixels: Mapping[str, Pixels]) -> dict[str, EncodedPhoto]:
        """Return the photos by reference, encoded in one batch to (n, dims) float32 unit vectors."""
        if not pixels:
            return {}
        vectors = self.encoder.encode(np.stack(list(pixels.values())))
        return {
            reference: EncodedPhoto(tuple(vector), gradient_hash(pixels[reference]))
            for reference, vector in zip(pixels, vectors.tolist(), strict=True)
        }

    def _write(
        self, chunk: Chunk, plans: Sequence[Plan], photos: Photos, written: set[str], *, final: bool
    ) -> list[str]:
        """Write the documents, and return the items that another writer changed meanwhile.

        written: the items of which a document was written; it is added to.
        """
        ready = []
        for each in plans:
            failure = photos.get(each.reference or "")
            if isinstance(failure, TransientFailure) and not final:
                chunk.wait((entry.position for entry in chunk.entries[each.item_id]), failure)
            else:
                ready.append((each, photo_of(each, photos)))
        writes = [write for each, photo in ready for write in writes_of(each, photo, self.store)]
        with chunk.stage_times.measure("write"):
            failures = iter(self.store.write(writes))
        conflicts = []
        for each, photo in ready:
            found = [next(failures) for _ in each.behind]
            if None in found:
                written.add(each.item_id)
            if not record(chunk, each, photo, found, written=each.item_id in written):
                conflicts.append(each.item_id)
        return conflicts

    def _clean_up(self, chunk: Chunk) -> None:
        """Delete dead letters that are out of date."""
        try:
            self._require_same_indices(chunk)
            letters = self.dead_letters.read(sorted(chunk.entries))
            self.dead_letters.delete_up_to(
                [
                    (item, letter.version)
                    for item, letter in letters.items()
                    if obsolete(letter, chunk.entries[item], chunk.outcomes)
                    or (letter.reason in KEPT_UNTIL_KNOWN and letter.version <= chunk.known_to.get(item, 0))
                ]
            )
        except TransientFailure:
            # Only another attempt deletes the letters.
            chunk.outcomes.clear()
            raise

    def _require_same_indices(self, chunk: Chunk) -> None:
        """Check that the chunk was written to every index that is written to now.

        A rebuild copies what an index holds when it is first written to, so nothing may be missing in both.

        Raises:
            TransientFailure: an index was added or removed meanwhile.
        """
        if chunk.entries and tuple(self.store.indices()) != chunk.indices:
            raise TransientFailure("indices_changed", "another index is written to since the chunk was begun")


def photo_of(plan: Plan, photos: Photos) -> PhotoResult:
    """Return the photo of an item's document, or the problem with it; None for a tombstone."""
    if plan.state.is_removed:
        return None
    if not plan.images:
        return PhotoProblem(NO_PHOTO, "the listing has no photo")
    if plan.reference is None:
        return plan.stored_photo
    found = photos[plan.reference]
    return PhotoProblem(found.reason, found.detail) if isinstance(found, Failure) else found


def writes_of(plan: Plan, photo: PhotoResult, store: ListingStore) -> list[DocumentWrite]:
    """Return the write of the item's document to each index that is behind."""
    if not plan.behind:
        return []
    document = document_of(plan.item_id, plan.state, photo, store.identity.encoder_id)
    return [DocumentWrite(index, document, replaced) for index, replaced in plan.behind.items()]


def record(
    chunk: Chunk, plan: Plan, photo: PhotoResult, failures: Sequence[Failure | None], *, written: bool
) -> bool:
    """Record the outcomes of an item's events, given why each document was not written, or None.

    Returns:
        Whether they are settled; not if another writer changed the item, or only a status is left of them.
    """
    entries = chunk.entries[plan.item_id]
    transient = next((each for each in failures if isinstance(each, TransientFailure)), None)
    permanent = next((each for each in failures if isinstance(each, PermanentFailure)), None)
    if transient:
        chunk.wait((entry.position for entry in entries), transient)
    elif permanent:
        return not chunk.reject_written(plan.item_id, permanent)
    elif any(failures):
        return False
    else:
        record_outcomes(chunk, plan, photo, written=written)
    return True
