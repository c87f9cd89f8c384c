"""Indexing of a chunk of events, the one path of every event from validation to its document."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from indexer.worker.pipeline.chunk import Chunk, parse
from indexer.worker.pipeline.dead_letters import DeadLetters
from indexer.worker.pipeline.documents import NO_PHOTO, EncodedPhoto, PhotoProblem, PhotoResult, source_of
from indexer.worker.pipeline.encoders import PhotoOf
from indexer.worker.pipeline.outcomes import KEPT_UNTIL_KNOWN, obsolete, record_outcomes
from indexer.worker.pipeline.photos import Photos, PhotoSource
from indexer.worker.pipeline.planning import Plan, plan
from indexer.worker.pipeline.store import DocumentWrite, ListingStore
from mappings.failures import Failure, PermanentFailure, TransientFailure
from mappings.identity import IndexVectors
from mappings.listing import UnusedPhoto
from mappings.problems import printable

MOST_DETAIL: Final = 300
"""Characters of the detail of a photo that could not be used, of which a document may have twenty."""

MAX_ROUNDS: Final = 10
"""More than one is needed only if another writer changes an item within the milliseconds between read and
write."""


@dataclass(frozen=True)
class Indexer:
    """Indexes events with the store and the photos that it is given."""

    store: ListingStore
    photos: PhotoSource
    dead_letters: DeadLetters
    photos_per_listing: int = 1
    """The number of first photos whose mean vector stands for a listing in an index of one vector each."""

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
            photos |= self.photos.photos_of(chunk, plans, photos)
            items = self._write(chunk, plans, photos, written, final=final)
        positions = [entry.position for item in items for entry in chunk.entries[item]]
        chunk.wait(
            positions, TransientFailure("concurrent_updates", "other writers changed the item each time")
        )

    def _plan(self, chunk: Chunk, items: Sequence[str]) -> list[Plan]:
        with chunk.stage_times.measure("read"):
            chunk.indices = self.store.indices()
            stored = {index: self.store.read(index, items) for index in chunk.indices}
        return [
            plan(
                item,
                [entry.state for entry in chunk.entries[item]],
                {index: documents.get(item) for index, documents in stored.items()},
                chunk.indices,
                retry=any(entry.is_refresh for entry in chunk.entries[item]),
                mean_of=self.photos_per_listing,
            )
            for item in items
        ]

    def _write(
        self, chunk: Chunk, plans: Sequence[Plan], photos: Photos, written: set[str], *, final: bool
    ) -> list[str]:
        """Write the documents, and return the items that another writer changed meanwhile.

        written: the items of which a document was written; it is added to.
        """
        ready = []
        for each in plans:
            failures = [photos[photo] for photo in each.wanted]
            transient = next((f for f in failures if isinstance(f, TransientFailure)), None)
            if transient and not final:
                chunk.wait((entry.position for entry in chunk.entries[each.item_id]), transient)
            else:
                ready.append(each)
        found_photos = [photos_of(each, photos) for each in ready]
        writes = [write for pair in zip(ready, found_photos, strict=True) for write in writes_of(*pair)]
        with chunk.stage_times.measure("write"):
            answers = self.store.write(writes)
        chunk.bulk_failures += [answer for answer in answers if answer is not None]
        results = iter(answers)
        conflicts = []
        for each, own_photos in zip(ready, found_photos, strict=True):
            found = [next(results) for _ in each.behind]
            if None in found:
                written.add(each.item_id)
            problem = problem_of_item(own_photos.values())
            if not record(chunk, each, problem, found, written=each.item_id in written):
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
                    if obsolete(letter, chunk, item)
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
        if chunk.entries and self.store.indices() != chunk.indices:
            raise TransientFailure("indices_changed", "another index is written to since the chunk was begun")


def photo_of(plan: Plan, vectors: IndexVectors, photos: Photos) -> PhotoResult:
    """Return the photo of an item's document in such an index, or the problem with it; None for a tombstone.

    Of several photos those that can be used count, and the others are noted. If none can be used, the
    problem is that of the first.
    """
    if plan.state.is_removed:
        return None
    if not plan.references:
        return PhotoProblem(NO_PHOTO, "the listing has no photo")
    if vectors in plan.stored_photos:
        return plan.stored_photos[vectors]
    found = [photos[PhotoOf(reference, vectors.encoder_id)] for reference in plan.images(vectors)]
    usable = [photo for photo in found if isinstance(photo, EncodedPhoto)]
    if usable:
        photo = EncodedPhoto.each(usable) if vectors.photos > 1 else EncodedPhoto.mean(usable)
        return replace(photo, unused=tuple(unused_in(found)))
    first = next(failure for failure in found if isinstance(failure, Failure))
    return PhotoProblem(first.reason, first.detail)


def unused_in(found: Sequence[EncodedPhoto | Failure]) -> Iterator[UnusedPhoto]:
    """Yield the photos that could not be used, given what became of each."""
    for place, photo in enumerate(found):
        if isinstance(photo, Failure):
            yield UnusedPhoto(place, photo.reason, printable(photo.detail[:MOST_DETAIL]))


def photos_of(plan: Plan, photos: Photos) -> dict[IndexVectors, PhotoResult]:
    """Return the photo of an item's documents, as by `photo_of`, for each kind of index that is behind."""
    return {vectors: photo_of(plan, vectors, photos) for vectors in dict.fromkeys(plan.vectors.values())}


def problem_of_item(found: Collection[PhotoResult]) -> PhotoProblem | None:
    """Return what is wrong with the item's photo, preferably what was not known before.

    It is None if any index has a vector: a photo after the first is enough for one that has several.
    """
    if any(isinstance(each, EncodedPhoto) for each in found):
        return None
    problems = (each for each in found if isinstance(each, PhotoProblem))
    return min(problems, key=lambda problem: problem.is_known, default=None)


def writes_of(plan: Plan, found: Mapping[IndexVectors, PhotoResult]) -> list[DocumentWrite]:
    """Return the write of the item's document to each index that is behind."""
    sources = {
        vectors: source_of(
            plan.item_id,
            plan.state,
            photo,
            vectors.encoder_id,
            fingerprint=plan.fingerprint(vectors),
        )
        for vectors, photo in found.items()
    }
    return [
        DocumentWrite(index, sources[plan.vectors[index]], replaced)
        for index, replaced in plan.behind.items()
    ]


def record(
    chunk: Chunk,
    plan: Plan,
    problem: PhotoProblem | None,
    failures: Sequence[Failure | None],
    *,
    written: bool,
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
        record_outcomes(chunk, plan, problem, written=written)
    return True
