"""Indexing of a chunk of events, the one path of every event from validation to its document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from indexer.photos.load import PhotoLoader, Pixels
from indexer.summary import INDEXED, OUTDATED, UNCHANGED, OutcomeKind
from indexer.worker.pipeline.chunk import Candidate, Chunk, newest_per_item, parse
from indexer.worker.pipeline.dead_letters import DeadLetters
from indexer.worker.pipeline.documents import NO_PHOTO, EncodedPhoto, PhotoProblem, PhotoResult, to_document
from indexer.worker.pipeline.planning import PlannedWrite, least_version, plan
from indexer.worker.pipeline.reconciliation import apply_status_updates
from indexer.worker.pipeline.store import ListingStore, VersionedDocument
from mappings.failures import Failure, TransientFailure, VersionConflict
from mappings.listing import Status
from ml.inference.encoder import ImageEncoder
from ml.inference.gradient_hash import gradient_hash


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
        chunk = Chunk(events, attempt)
        candidates = newest_per_item(chunk, parse(chunk))
        try:
            writes = self._plan(chunk, candidates)
            photos = self._photos(chunk, writes, final=final)
            self._write(chunk, writes, photos)
            with chunk.stage_times.measure("write"):
                self.dead_letters.write(chunk.dead_letters.values())
                self._reconcile(chunk, candidates)
        except TransientFailure as failure:
            chunk.defer(failure)
        return chunk

    def _plan(self, chunk: Chunk, candidates: Sequence[Candidate]) -> list[PlannedWrite]:
        with chunk.stage_times.measure("read"):
            ids = [candidate.item_id for candidate in candidates]
            chunk.indices = tuple(self.store.indices())
            stored = {index: self.store.read(index, ids) for index in chunk.indices}
        writes = []
        for candidate in candidates:
            in_indices = {index: documents.get(candidate.item_id) for index, documents in stored.items()}
            chunk.known_versions[candidate.item_id] = least_version(in_indices.values())
            planned = plan(candidate, in_indices, self.store.identity.encoder_id)
            if isinstance(planned, PlannedWrite):
                writes.append(planned)
            else:
                chunk.outcomes[candidate.position] = planned
        return writes

    def _photos(self, chunk: Chunk, writes: Sequence[PlannedWrite], *, final: bool) -> dict[int, PhotoResult]:
        """Return the photo of each write by position, without those that wait."""
        references = {write.reference for write in writes if write.reference}
        with chunk.stage_times.measure("photos"):
            loaded = self.photo_loader.load(sorted(references), chunk.stage_times)
        pixels = {reference: found for reference, found in loaded.items() if isinstance(found, np.ndarray)}
        with chunk.stage_times.measure("encode"):
            encoded = self._encode(pixels)
        chunk.encoded += len(encoded)
        photos: dict[int, PhotoResult] = {}
        for write in writes:
            failure = loaded.get(write.reference or "")
            if isinstance(failure, TransientFailure) and not final:
                chunk.waiting[write.candidate.position] = failure
            else:
                photos[write.candidate.position] = photo_of(write, encoded, failure)
        return photos

    def _encode(self, pixels: Mapping[str, Pixels]) -> dict[str, EncodedPhoto]:
        """Return the photos by reference, encoded in one batch to (n, dims) float32 unit vectors."""
        if not pixels:
            return {}
        vectors = self.encoder.encode(np.stack(list(pixels.values())))
        return {
            reference: EncodedPhoto(tuple(vector), gradient_hash(pixels[reference]))
            for reference, vector in zip(pixels, vectors.tolist(), strict=True)
        }

    def _write(self, chunk: Chunk, writes: Sequence[PlannedWrite], photos: Mapping[int, PhotoResult]) -> None:
        ready = [write for write in writes if write.candidate.position in photos]
        encoder_id = self.store.identity.encoder_id
        documents = [
            document
            for write in ready
            for document in documents_of(write, photos[write.candidate.position], encoder_id)
        ]
        with chunk.stage_times.measure("write"):
            failures = iter(self.store.write(documents))
        for write in ready:
            photo = photos[write.candidate.position]
            record_outcome(chunk, write, photo, [next(failures) for _ in write.indices])

    def _reconcile(self, chunk: Chunk, candidates: Sequence[Candidate]) -> None:
        """Apply the status and price of rejected events, and delete dead letters that are out of date."""
        try:
            self._require_same_indices(chunk)
            newest = apply_status_updates(self.store, self.dead_letters, known_versions(chunk, candidates))
            self.dead_letters.delete_up_to(
                [
                    (candidate.item_id, candidate.version)
                    for candidate in candidates
                    if chunk.outcomes.get(candidate.position) in {INDEXED, UNCHANGED}
                    and newest.get(candidate.item_id, candidate.version + 1) <= candidate.version
                ]
            )
        except TransientFailure:
            # Only another attempt applies the other updates, or deletes the letters.
            chunk.outcomes.clear()
            raise

    def _require_same_indices(self, chunk: Chunk) -> None:
        """Check that the chunk was written to every index that is written to now.

        A rebuild copies what an index holds when it is first written to, so nothing may be missing in both.

        Raises:
            TransientFailure: an index was added or removed meanwhile.
        """
        if tuple(self.store.indices()) != chunk.indices:
            raise TransientFailure("indices_changed", "another index is written to since the chunk was begun")


def known_versions(chunk: Chunk, candidates: Sequence[Candidate]) -> dict[str, int]:
    """Return the items to reconcile, each with a version that its documents have at least, or 0."""
    letters = chunk.dead_letters.values()
    known = {letter.item_id: 0 for letter in letters if letter.version and letter.item_id}
    for candidate in candidates:
        outcome = chunk.outcomes.get(candidate.position)
        stored = outcome is not None and outcome.kind is not OutcomeKind.REJECTED
        least = chunk.known_versions.get(candidate.item_id, 0)
        known[candidate.item_id] = max(least, candidate.version) if stored else least
    return known


def photo_of(write: PlannedWrite, encoded: Mapping[str, EncodedPhoto], failure: object) -> PhotoResult:
    """Return the photo of a write, or the problem with it; None for a tombstone."""
    if write.stored_photo:
        return write.stored_photo
    if write.candidate.listing.status is Status.REMOVED:
        return None
    if write.reference is None:
        return PhotoProblem(NO_PHOTO, "the listing has no photo")
    if isinstance(failure, Failure):
        return PhotoProblem(failure.reason, failure.detail)
    return encoded[write.reference]


def documents_of(write: PlannedWrite, photo: PhotoResult, encoder_id: str) -> list[VersionedDocument]:
    """Return the document for each index of a write."""
    document = to_document(write.candidate.listing, photo, encoder_id)
    return [VersionedDocument(index, write.candidate.version, document) for index in write.indices]


def record_outcome(
    chunk: Chunk, write: PlannedWrite, photo: PhotoResult, failures: Sequence[Failure | None]
) -> None:
    """Record the outcome of an event, given for each index why its document was not written, or None."""
    position, version = write.candidate.position, write.candidate.version
    for failure in failures:
        if isinstance(failure, TransientFailure):
            chunk.waiting[position] = failure
            return
    rejections = [f for f in failures if f is not None and not isinstance(f, VersionConflict)]
    if rejections:
        chunk.reject(position, rejections[0].reason, rejections[0].detail)
    elif all(failures):
        chunk.outcomes[position] = OUTDATED
    elif isinstance(photo, PhotoProblem):
        chunk.index_without_vector(position, photo, version)
    else:
        chunk.outcomes[position] = INDEXED
