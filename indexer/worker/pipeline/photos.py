"""The photos of listings, loaded and encoded for the indices that need them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from indexer.photos.load import PhotoLoader
from indexer.photos.placeholders import Placeholders
from indexer.worker.pipeline.chunk import Chunk
from indexer.worker.pipeline.documents import EncodedPhoto
from indexer.worker.pipeline.encoders import PhotoEncoder, PhotoOf, decode_for, encode, hashes_of
from indexer.worker.pipeline.planning import Plan
from indexer.worker.pipeline.showing import problems_of
from mappings.failures import Failure, TransientFailure
from mappings.listing import incomplete
from ml.data.embedding_shards import EmbeddingRow
from ml.inference.full_width import FullWidthEncoder

Photos = dict[PhotoOf, EncodedPhoto | Failure]
"""What became of each photo of a chunk."""


class PhotoSource(Protocol):
    """Where the vectors of photos come from."""

    def photos_of(self, chunk: Chunk, plans: Sequence[Plan], known: Photos) -> Photos:
        """Return what became of each photo that the plans want and that is not known yet."""
        ...


Keep = Callable[[str, Sequence[EmbeddingRow]], object]
"""Keeps rows of full-width vectors, given their backbone_id."""


@dataclass(frozen=True)
class LoadedPhotos:
    """Photos that are fetched, decoded and encoded here."""

    loader: PhotoLoader
    encoders: Mapping[str, PhotoEncoder]
    """By encoder_id."""
    placeholders: Placeholders
    keep: Keep | None = None
    """What is done with full-width vectors; None if they are not kept."""

    def photos_of(self, chunk: Chunk, plans: Sequence[Plan], known: Photos) -> Photos:
        """Return what became of each photo that the plans want and that is not known yet."""
        photos: Photos = {}
        wanted = {photo for each in plans for photo in each.wanted} - known.keys()
        references = sorted({photo.reference for photo in wanted})
        with chunk.stage_times.measure("photos"):
            decode = decode_for(self.encoders, wanted)
            loaded = self.loader.load(references, decode, chunk.stage_times)
        chunk.photo_results.update(map(result_code, loaded.values()))
        failed = {reference: found for reference, found in loaded.items() if isinstance(found, Failure)}
        photos |= {photo: failed[photo.reference] for photo in wanted if photo.reference in failed}
        decoded = {reference: found for reference, found in loaded.items() if not isinstance(found, Failure)}
        with chunk.stage_times.measure("placeholders"):
            hashes = hashes_of(decoded)
            problems = problems_of(self.placeholders, chunk.indices, plans, decoded, hashes)
        photos |= problems
        with chunk.stage_times.measure("encode"):
            shown = {photo: each for photo, each in hashes.items() if photo not in problems}
            photos |= encode(self.encoders, decoded, shown)
        chunk.encoded += len(shown)
        if self.keep:
            new = [each for each in plans if each.wanted & photos.keys()]
            for backbone_id, rows in rows_of(new, known | photos, self.encoders):
                self.keep(backbone_id, rows)
        return photos


def result_code(loaded: object) -> str:
    """Return the reason for which a photo could not be loaded, or `ok`."""
    return loaded.reason if isinstance(loaded, Failure) else "ok"


def rows_of(
    plans: Sequence[Plan], photos: Photos, encoders: Mapping[str, PhotoEncoder]
) -> Iterator[tuple[str, list[EmbeddingRow]]]:
    """Yield backbone_id and full-width vectors of each plan's photos, once a backbone: the most of them.

    Plans with a photo that may be had later are left out: its vector would be missing in the mean.
    """
    for plan in plans:
        done = set()
        missing = set(plan.vectors.values()) - plan.stored_photos.keys()
        for vectors in sorted(missing, key=lambda each: (-len(plan.images(each)), each.encoder_id)):
            encoder = encoders[vectors.encoder_id].encoder
            found = [photos[PhotoOf(reference, vectors.encoder_id)] for reference in plan.images(vectors)]
            if not isinstance(encoder, FullWidthEncoder) or encoder.last.backbone_id in done:
                continue
            if any(isinstance(photo, TransientFailure) for photo in found):
                continue
            done.add(encoder.last.backbone_id)
            whole = all(isinstance(photo, EncodedPhoto) for photo in found)
            fingerprint = plan.fingerprint(vectors) or ""
            if rows := [*_rows(plan, fingerprint if whole else incomplete(fingerprint), found)]:
                yield encoder.last.backbone_id, rows


def _rows(plan: Plan, fingerprint: str, found: Sequence[EncodedPhoto | Failure]) -> Iterator[EmbeddingRow]:
    seller_id = plan.state.listing_fields().get("seller_id", "")
    for position, photo in enumerate(found):
        if isinstance(photo, EncodedPhoto) and photo.embedding is not None:
            yield EmbeddingRow(
                plan.item_id,
                seller_id,
                fingerprint,
                position,
                photo.image_hash,
                plan.state.latest,
                photo.embedding.astype(np.float16),
            )
