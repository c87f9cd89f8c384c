"""Documents of another projection from stored full-width vectors, without photos and without an encoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from elasticsearch import Elasticsearch

from cache.changes import Marking, RedisUnavailable
from indexer.errors import RebuildFailed
from indexer.intake.submission import chunked
from indexer.jobs.reembedding import refresh
from indexer.summary import IndexingSummary
from indexer.worker.pipeline.chunk import Chunk
from indexer.worker.pipeline.dead_letters import DeadLetters
from indexer.worker.pipeline.documents import EncodedPhoto
from indexer.worker.pipeline.encoders import PhotoOf
from indexer.worker.pipeline.indexer import Indexer
from indexer.worker.pipeline.photos import Photos
from indexer.worker.pipeline.planning import Plan
from indexer.worker.pipeline.store import ListingStore
from mappings.failures import ElasticsearchUnavailable, TransientFailure
from mappings.identity import EncoderIdentity, IndexVectors
from mappings.inspection import indices_behind, meta_of
from mappings.names import write_alias
from ml.artifact import EncoderArtifact
from ml.data.embedding_shards import EmbeddingRow, read_rows, shards_in
from ml.inference.full_width import LastLayer, last_layer

ITEMS: Final = 500
"""Items of a request to Elasticsearch."""


class NotStored(TransientFailure):
    """No stored vector is of the item's photos as they are now; a worker reads them."""


NOT_STORED: Final = NotStored("not_stored", "no stored vector is of the item's photos as they are now")


@dataclass
class StoredPhotos:
    """The photos of items whose full-width vectors are at hand, projected for an encoder."""

    vectors: IndexVectors
    """Of the index that they are for."""
    last: LastLayer
    rows: Mapping[str, Sequence[EmbeddingRow]] = field(default_factory=dict)
    """Those of each item."""

    def photos_of(self, chunk: Chunk, plans: Sequence[Plan], known: Photos) -> Photos:
        """Return the photos that the plans want and that are not known yet, or that they are not stored."""
        del chunk
        photos: Photos = {photo: NOT_STORED for each in plans for photo in each.wanted - known.keys()}
        stored = [pair for each in plans for pair in self._stored(each).items()]
        if stored:
            embeddings = np.stack([row.embedding for _, row in stored]).astype(np.float32)
            for (photo, row), vector in zip(stored, self.last.project(embeddings).tolist(), strict=True):
                photos[photo] = EncodedPhoto(tuple(vector), row.image_hash)
        return photos

    def _stored(self, plan: Plan) -> dict[PhotoOf, EmbeddingRow]:
        """Return the rows of the photos that an item wants: all of them, or none."""
        found = {
            PhotoOf(plan.references[row.photo], self.vectors.encoder_id): row
            for row in self.rows.get(plan.item_id, ())
            if row.image_fingerprint == plan.fingerprint(self.vectors)
        }
        return found if found and found.keys() == plan.wanted else {}


@dataclass(frozen=True)
class StoredEmbeddings:
    """The shards of a folder that are of an encoder's backbone."""

    encoder_id: str
    last: LastLayer
    shards: Sequence[Path]
    """The newest first."""

    @classmethod
    def of(cls, folder: Path, artifact: EncoderArtifact) -> StoredEmbeddings:
        """Return those of an artifact.

        Raises:
            RebuildFailed: the folder has none.
            NoProjection: the artifact has no last linear layer.
        """
        last = last_layer(artifact)
        shards = shards_in(folder, last.backbone_id)
        if not shards:
            raise RebuildFailed(
                f"{folder} has no shards of the backbone {last.backbone_id}, that of {artifact.encoder_id}; "
                "name the folder that workers had in NITAMONO_EMBEDDINGS_DIR, or leave --embeddings out"
            )
        return cls(artifact.encoder_id, last, shards)

    def index(
        self,
        make_indexer: Callable[[StoredPhotos], Indexer],
        progress: Callable[[int], object],
        stop: Callable[[], bool],
        *,
        photos_each: int = 1,
    ) -> int:
        """Bring the documents of the items up to date, and return how many were written.

        What waits is left to workers: items whose photos changed since, or whose vector another index lacks.
        progress: called with the number of items that were written. stop: asked before each request.
        photos_each: the number of photos that have a vector each in the index that is filled.

        Raises:
            ElasticsearchUnavailable, RedisUnavailable: what was done stays.
            BadEmbeddingShard: a shard is damaged.
        """
        photos = StoredPhotos(IndexVectors(self.encoder_id, photos_each), self.last)
        indexer = make_indexer(photos)
        total = 0
        for shard in self.shards:
            photos.rows = read_rows(shard)
            for items in chunked(photos.rows, ITEMS):
                if stop():
                    return total
                chunk = indexer.index([refresh(item) for item in items])
                for failure in chunk.waiting.values():
                    if isinstance(failure, ElasticsearchUnavailable | RedisUnavailable):
                        raise failure
                written = IndexingSummary.of(chunk.outcomes_in_order()).indexed
                total += written
                progress(written)
        return total


def indexer_of(
    es: Elasticsearch, prefix: str, marking: Marking, photos_per_listing: int
) -> Callable[[StoredPhotos], Indexer]:
    """Return what makes the indexer that writes to every index that is written to, as a worker does."""
    written = indices_behind(es, write_alias(prefix)).values()
    identities = [EncoderIdentity.from_meta(meta_of(entry)) for entry in written]
    return lambda photos: Indexer(
        store=ListingStore(es, prefix, identities, marking),
        photos=photos,
        dead_letters=DeadLetters(es, prefix, photos.vectors.encoder_id),
        photos_per_listing=photos_per_listing,
    )
