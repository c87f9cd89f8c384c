"""Full-width vectors of listings that are read from files or an index, without writing to an index."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from indexer.intake.submission import chunked
from indexer.jobs.expected_items import Expected, Rejected
from indexer.summary import Example, first_of, row_name
from indexer.worker.pipeline.chunk import Chunk
from indexer.worker.pipeline.documents import NO_PHOTO, EncodedPhoto
from indexer.worker.pipeline.item_state import ItemState
from indexer.worker.pipeline.photos import LoadedPhotos
from indexer.worker.pipeline.planning import Plan, plan
from mappings.identity import IndexVectors

LISTINGS: Final = 64
"""Listings whose photos are loaded at once, and photos in a batch of the encoder."""
NO_VALID_LISTING: Final = "no_valid_listing"
NOWHERE: Final = "none"
"""The name of an index that lacks every listing."""


@dataclass
class Embedding:
    """What became of the listings."""

    encoded: int = 0
    stored: int = 0
    """Had a vector of their photos before."""
    left_out: Counter[str] = field(default_factory=Counter)
    """By reason."""
    examples: Mapping[str, Sequence[Example]] = field(default_factory=dict)
    """By reason, the first of those that were left out."""

    def leave_out(self, item: Expected | Rejected, reason: str, detail: str) -> None:
        """Count a listing that is not encoded."""
        self.left_out[reason] += 1
        self.examples = first_of(self.examples, {reason: [(row_name(item.location, item.item_id), detail)]})


def embed(
    items: Iterable[Expected | Rejected],
    photos: LoadedPhotos,
    vectors: IndexVectors,
    stored: Collection[tuple[str, str]],
    *,
    photos_per_listing: int,
    progress: Callable[[int], object],
) -> Embedding:
    """Encode the photos of listings, of which `photos` keeps the full-width vectors.

    vectors: of the index that they are for.
    stored: items with the fingerprint of their photos, which are encoded already.
    progress: called with the number of listings after each batch.
    """
    found = Embedding()
    for part in chunked(items, LISTINGS):
        plans: list[tuple[Expected, Plan]] = []
        for each in part:
            if isinstance(each, Rejected):
                found.leave_out(each, NO_VALID_LISTING, each.detail)
                continue
            wanted = plan(
                each.item_id, [each.state], {NOWHERE: None}, {NOWHERE: vectors}, mean_of=photos_per_listing
            )
            if not wanted.wanted:
                found.leave_out(each, *_without_photos(wanted.state))
            elif (wanted.item_id, wanted.fingerprint(vectors) or "") in stored:
                found.stored += 1
            else:
                plans.append((each, wanted))
        _encode(plans, photos, found)
        progress(len(part))
    return found


def _without_photos(state: ItemState) -> tuple[str, str]:
    """Return the reason why an item has no photo to encode, and what is wrong."""
    if state.removal:
        return "removed", "the listing is removed"
    return (
        (NO_PHOTO, "the listing has no photo")
        if state.is_known
        else (NO_VALID_LISTING, "it has no complete listing")
    )


def _encode(plans: Sequence[tuple[Expected, Plan]], photos: LoadedPhotos, found: Embedding) -> None:
    results = photos.photos_of(Chunk([]), [wanted for _, wanted in plans], {})
    for each, wanted in plans:
        of_item = [results[photo] for photo in wanted.wanted]
        failures = [photo for photo in of_item if not isinstance(photo, EncodedPhoto)]
        if len(failures) < len(of_item):
            found.encoded += 1
        else:
            found.leave_out(each, failures[0].reason, failures[0].detail)
