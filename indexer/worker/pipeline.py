"""A chunk of events to documents: the one path that every event takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from indexer.photos.load import PhotoLoader, Pixels
from indexer.summary import INDEXED, OUTDATED, UNCHANGED, EventOutcome, OutcomeKind, rejected, without_vector
from indexer.worker.dead_letters import DeadLetter, DeadLetters
from indexer.worker.documents import NO_PHOTO, EncodedPhoto, PhotoProblem, PhotoResult, to_document
from indexer.worker.reconciliation import apply_refused
from indexer.worker.stage_times import StageTimes
from indexer.worker.status_update import parse_status_update, status_update_of
from indexer.worker.store import ListingStore, StoredDocument, VersionedDocument
from mappings.errors import InvalidListing
from mappings.failures import Failure, TransientFailure, VersionConflict
from mappings.listing import Listing, Status, event_version, image_fingerprint, parse_listing
from ml.inference.encoder import ImageEncoder
from ml.inference.preprocess import photo_hash

UNREADABLE = (TypeError, ValueError, OverflowError, RecursionError)
"""What reading JSON of a kind that nobody thought of raises. Left alone, one such event would take the
others of its chunk with it."""


@dataclass(frozen=True)
class Candidate:
    """A valid event and its place in the chunk."""

    position: int
    listing: Listing
    version: int

    @property
    def item_id(self) -> str:
        """The item the event is about."""
        return self.listing.item_id


@dataclass(frozen=True)
class PlannedWrite:
    """A candidate that is to be written: to these indices, with this picture where it is known already."""

    candidate: Candidate
    indices: tuple[str, ...]
    known: EncodedPhoto | None

    @property
    def reference(self) -> str | None:
        """The photo to load: the first one gives the vector. None where nothing is to be loaded."""
        listing = self.candidate.listing
        if self.known or listing.status is Status.REMOVED or not listing.images:
            return None
        return listing.images[0]


@dataclass
class Chunk:
    """What is known so far of the events of a chunk, each by its position."""

    events: Sequence[object]
    attempt: int = 1
    stage_times: StageTimes = field(default_factory=StageTimes)
    outcomes: dict[int, EventOutcome] = field(default_factory=dict)
    waiting: dict[int, TransientFailure] = field(default_factory=dict)
    dead_letters: dict[int, DeadLetter] = field(default_factory=dict)
    known: dict[str, int] = field(default_factory=dict)
    """By item, a version that its documents have at least in every index; 0 where one may have none."""
    encoded: int = 0

    def outcomes_in_order(self) -> list[EventOutcome]:
        """The outcomes of the settled events, in order."""
        return [self.outcomes[position] for position in sorted(self.outcomes)]

    def remaining(self) -> list[object]:
        """The events that wait for another try, in order."""
        return [self.events[position] for position in sorted(self.waiting)]

    def reject(self, position: int, reason: str, detail: str, version: int | None = None) -> None:
        """Settles an event as rejected, with a dead letter."""
        self._settle(position, rejected(reason), detail, version)

    def lack_vector(self, position: int, problem: PhotoProblem, version: int) -> None:
        """Settles an event as indexed without a vector, with a dead letter."""
        self._settle(position, without_vector(problem.reason), problem.detail, version)

    def _settle(self, position: int, outcome: EventOutcome, detail: str, version: int | None) -> None:
        self.outcomes[position] = outcome
        self.dead_letters[position] = DeadLetter.of(
            self.events[position],
            outcome.reason or "unknown",
            detail,
            version=version,
            attempts=self.attempt,
        )

    def refuse(self, position: int, reason: str, detail: str) -> None:
        """Settles an event as rejected whose status and price, where they are valid, are applied all the
        same after the dead letter is written."""
        update = parse_status_update(self.events[position])
        if update:
            detail = f"{update}; {detail}"
        self.reject(position, reason, detail, update.version if update else None)

    def postpone(self, failure: TransientFailure) -> None:
        """Lets every event wait that has no outcome, or whose dead letter is not written yet."""
        for position in range(len(self.events)):
            if position not in self.outcomes or position in self.dead_letters:
                self.outcomes.pop(position, None)
                self.waiting[position] = failure
        self.dead_letters.clear()


@dataclass(frozen=True)
class Indexer:
    """Turns events into documents with the adapters it was given."""

    store: ListingStore
    photo_loader: PhotoLoader
    encoder: ImageEncoder
    dead_letters: DeadLetters

    def index(self, events: Sequence[object], *, attempt: int = 1, final: bool = False) -> Chunk:
        """What became of each event. On the `final` attempt a photo that is away counts as a problem of the
        listing, which is written without a vector.

        Where Elasticsearch is away, the events that have no outcome wait.
        """
        chunk = Chunk(events, attempt)
        candidates = newest_per_item(chunk, parse(chunk))
        try:
            work = self._plan(chunk, candidates)
            photos = self._photos(chunk, work, final=final)
            self._write(chunk, work, photos)
            with chunk.stage_times.measure("write"):
                self.dead_letters.write(chunk.dead_letters.values())
                self._reconcile(chunk, candidates)
        except TransientFailure as failure:
            chunk.postpone(failure)
        return chunk

    def _reconcile(self, chunk: Chunk, candidates: Sequence[Candidate]) -> None:
        """Applies the status and price of refused events, and forgets the letters that are out of date."""
        known = {
            letter.item_id: 0 for letter in chunk.dead_letters.values() if letter.version and letter.item_id
        }
        for candidate in candidates:
            outcome = chunk.outcomes.get(candidate.position)
            stored = outcome is not None and outcome.kind is not OutcomeKind.REJECTED
            least = chunk.known.get(candidate.item_id, 0)
            known[candidate.item_id] = max(least, candidate.version) if stored else least
        try:
            newest = apply_refused(self.store, self.dead_letters, known)
            self.dead_letters.forget(
                [
                    (candidate.item_id, candidate.version)
                    for candidate in candidates
                    if chunk.outcomes.get(candidate.position) in {INDEXED, UNCHANGED}
                    and newest.get(candidate.item_id, candidate.version + 1) <= candidate.version
                ]
            )
        except TransientFailure:
            # Only another attempt applies what is left, or forgets the letters.
            chunk.outcomes.clear()
            raise

    def _plan(self, chunk: Chunk, candidates: Sequence[Candidate]) -> list[PlannedWrite]:
        with chunk.stage_times.measure("read"):
            ids = [candidate.item_id for candidate in candidates]
            stored = {index: self.store.read(index, ids) for index in self.store.indices()}
        work = []
        for candidate in candidates:
            in_indices = {index: documents.get(candidate.item_id) for index, documents in stored.items()}
            chunk.known[candidate.item_id] = least_version(in_indices.values())
            planned = plan(candidate, in_indices, self.store.identity.encoder_id)
            if isinstance(planned, PlannedWrite):
                work.append(planned)
            else:
                chunk.outcomes[candidate.position] = planned
        return work

    def _photos(self, chunk: Chunk, work: Sequence[PlannedWrite], *, final: bool) -> dict[int, PhotoResult]:
        """The photo of each work by its position, without those that wait."""
        references = {entry.reference for entry in work if entry.reference}
        with chunk.stage_times.measure("photos"):
            loaded = self.photo_loader.load(sorted(references), chunk.stage_times)
        pixels = {reference: found for reference, found in loaded.items() if isinstance(found, np.ndarray)}
        with chunk.stage_times.measure("encode"):
            pictures = self._encode(pixels)
        chunk.encoded += len(pictures)
        photos: dict[int, PhotoResult] = {}
        for entry in work:
            failure = loaded.get(entry.reference or "")
            if isinstance(failure, TransientFailure) and not final:
                chunk.waiting[entry.candidate.position] = failure
            else:
                photos[entry.candidate.position] = photo_of(entry, pictures, failure)
        return photos

    def _encode(self, pixels: Mapping[str, Pixels]) -> dict[str, EncodedPhoto]:
        if not pixels:
            return {}
        vectors = self.encoder.encode(np.stack(list(pixels.values())))
        return {
            reference: EncodedPhoto(tuple(vector), photo_hash(pixels[reference]))
            for reference, vector in zip(pixels, vectors.tolist(), strict=True)
        }

    def _write(self, chunk: Chunk, work: Sequence[PlannedWrite], photos: Mapping[int, PhotoResult]) -> None:
        ready = [entry for entry in work if entry.candidate.position in photos]
        documents = [
            document
            for entry in ready
            for document in versioned(entry, photos[entry.candidate.position], self.store.identity.encoder_id)
        ]
        with chunk.stage_times.measure("write"):
            failures = iter(self.store.write(documents))
        for entry in ready:
            photo = photos[entry.candidate.position]
            settle(chunk, entry, photo, [next(failures) for _ in entry.indices])


def parse(chunk: Chunk) -> list[Candidate]:
    """The valid events; the others are settled as rejected."""
    candidates = []
    for position, event in enumerate(chunk.events):
        try:
            listing = parse_listing(event)
            candidates.append(Candidate(position, listing, event_version(listing)))
        except InvalidListing as failure:
            chunk.refuse(position, failure.reason, str(failure))
        except UNREADABLE as error:
            chunk.refuse(position, "event_unreadable", f"{type(error).__name__}: {error}")
    return candidates


def newest_per_item(chunk: Chunk, candidates: Iterable[Candidate]) -> list[Candidate]:
    """The newest event of each item; the others are settled as older, exact repeats as unchanged."""
    newest: dict[str, Candidate] = {}
    for candidate in sorted(candidates, key=lambda candidate: candidate.version, reverse=True):
        winner = newest.setdefault(candidate.item_id, candidate)
        if winner is not candidate:
            repeated = winner.version == candidate.version
            chunk.outcomes[candidate.position] = UNCHANGED if repeated else OUTDATED
    return list(newest.values())


def plan(
    candidate: Candidate, stored: Mapping[str, StoredDocument | None], encoder_id: str
) -> PlannedWrite | EventOutcome:
    """What to write for a candidate, given what each index has; an outcome where nothing is to be written."""
    found = {index: document for index, document in stored.items() if document is not None}
    candidate = with_newest_status(candidate, found.values())
    behind = tuple(index for index in stored if not is_current(found.get(index), candidate, encoder_id))
    if not behind:
        newer = any(document.version > candidate.version for document in found.values())
        return OUTDATED if newer else UNCHANGED
    fingerprint = image_fingerprint(candidate.listing.images)
    known = (reusable(document, fingerprint, encoder_id) for document in found.values())
    return PlannedWrite(candidate, behind, next(filter(None, known), None))


def least_version(documents: Iterable[StoredDocument | None]) -> int:
    """The version that all these documents have at least, of content or status; 0 where one is missing."""
    versions = (
        max(document.version, status_update_of(document.source).version) if document else 0
        for document in documents
    )
    return min(versions, default=0)


def with_newest_status(candidate: Candidate, documents: Iterable[StoredDocument]) -> Candidate:
    """The candidate, with the status and price of a later event that was refused otherwise."""
    updates = [status_update_of(document.source) for document in documents]
    newest = max(updates, key=lambda update: update.version, default=None)
    if newest is None or not newest.overrides(candidate.listing.status, candidate.version):
        return candidate
    return replace(candidate, listing=candidate.listing.model_copy(update=newest.changes))


def is_current(document: StoredDocument | None, candidate: Candidate, encoder_id: str) -> bool:
    """Whether an index needs no write: it has a newer version, or this one with all that belongs to it."""
    if document is None or document.version < candidate.version:
        return False
    if document.version > candidate.version:
        return True
    complete = candidate.listing.status is Status.REMOVED or document.vector is not None
    return complete and document.source["encoder_id"] == encoder_id


def reusable(document: StoredDocument, fingerprint: str | None, encoder_id: str) -> EncodedPhoto | None:
    """The stored picture, if the photos and the encoder are still the same."""
    source, vector = document.source, document.vector
    same = source.get("image_fingerprint") == fingerprint and source["encoder_id"] == encoder_id
    return EncodedPhoto(vector, source["image_hash"]) if same and vector else None


def photo_of(entry: PlannedWrite, pictures: Mapping[str, EncodedPhoto], failure: object) -> PhotoResult:
    """The picture of a work, or what the problem with it is; None for a tombstone."""
    if entry.known:
        return entry.known
    if entry.candidate.listing.status is Status.REMOVED:
        return None
    if entry.reference is None:
        return PhotoProblem(NO_PHOTO, "found no photo, expected at least one")
    if isinstance(failure, Failure):
        return PhotoProblem(failure.reason, failure.detail)
    return pictures[entry.reference]


def versioned(entry: PlannedWrite, photo: PhotoResult, encoder_id: str) -> list[VersionedDocument]:
    """The document for each index of a work."""
    document = to_document(entry.candidate.listing, photo, encoder_id)
    return [VersionedDocument(index, entry.candidate.version, document) for index in entry.indices]


def settle(chunk: Chunk, entry: PlannedWrite, photo: PhotoResult, failures: Sequence[Failure | None]) -> None:
    """Gives an event its outcome, from what each index said to its document."""
    position, version = entry.candidate.position, entry.candidate.version
    for failure in failures:
        if isinstance(failure, TransientFailure):
            chunk.waiting[position] = failure
            return
    refusals = [f for f in failures if f is not None and not isinstance(f, VersionConflict)]
    if refusals:
        chunk.refuse(position, refusals[0].reason, refusals[0].detail)
    elif all(failures):
        chunk.outcomes[position] = OUTDATED
    elif isinstance(photo, PhotoProblem):
        chunk.lack_vector(position, photo, version)
    else:
        chunk.outcomes[position] = INDEXED
