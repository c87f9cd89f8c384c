"""Full-width vectors of listings that are read from files or an index, without writing to an index."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Final

from indexer.intake.submission import chunked
from indexer.jobs.expected_items import Expected, Rejected
from indexer.worker.pipeline.chunk import Chunk
from indexer.worker.pipeline.documents import EncodedPhoto
from indexer.worker.pipeline.photos import LoadedPhotos
from indexer.worker.pipeline.planning import Plan, plan
from mappings.identity import IndexVectors

LISTINGS: Final = 64
"""Listings whose photos are loaded at once, and photos in a batch of the encoder."""
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
        plans: list[Plan] = []
        for each in part:
            if isinstance(each, Rejected):
                found.left_out["no_valid_listing"] += 1
                continue
            wanted = plan(
                each.item_id, [each.state], {NOWHERE: None}, {NOWHERE: vectors}, mean_of=photos_per_listing
            )
            if not wanted.wanted:
                found.left_out["removed" if wanted.state.is_removed else "no_photo"] += 1
            elif (wanted.item_id, wanted.fingerprint(vectors) or "") in stored:
                found.stored += 1
            else:
                plans.append(wanted)
        _encode(plans, photos, found)
        progress(len(part))
    return found


def _encode(plans: list[Plan], photos: LoadedPhotos, found: Embedding) -> None:
    results = photos.photos_of(Chunk([]), plans, {})
    for each in plans:
        of_item = [results[photo] for photo in each.wanted]
        if any(isinstance(photo, EncodedPhoto) for photo in of_item):
            found.encoded += 1
        else:
            reason = next(photo.reason for photo in of_item if not isinstance(photo, EncodedPhoto))
            found.left_out[reason] += 1
