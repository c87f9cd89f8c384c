"""Construction of the indexer from its settings."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from elasticsearch import Elasticsearch

from cache.changes import Changes, Marking, unmarked
from indexer.photos.fetch import PhotoFetcher
from indexer.photos.load import PhotoLoader
from indexer.photos.marks import Marks, NoMarks, RedisMarks
from indexer.photos.placeholders import Placeholders
from indexer.settings import IndexerSettings, ProducerSettings
from indexer.worker.arguments import TASKS
from indexer.worker.embedding_log import EmbeddingLog
from indexer.worker.encoders import load_encoders
from indexer.worker.pipeline.dead_letters import DeadLetters
from indexer.worker.pipeline.encoders import PhotoEncoder
from indexer.worker.pipeline.indexer import Indexer
from indexer.worker.pipeline.photos import Keep, LoadedPhotos
from indexer.worker.pipeline.store import ListingStore
from mappings.client import connect
from mappings.identity import EncoderIdentity
from ml.artifact import load_artifact
from ml.inference.encoder import ImageEncoder
from ml.inference.preprocess import decode_as
from queues.parking import ParkingLot
from queues.work_queue import WorkQueue


def build_indexer(
    settings: IndexerSettings,
    *,
    es: Elasticsearch | None = None,
    encoders: Mapping[Path, ImageEncoder] | None = None,
    marking: Marking = unmarked,
    marks: Marks | None = None,
    keep: Keep | None = None,
) -> Indexer:
    """Return an indexer for the services in the settings. It loads the encoders: call it once per process.

    encoders: by folder, those that are loaded already. marking: what surrounds each write of documents.
    marks: of photos that many listings share; without them each chunk counts anew.
    keep: keeps full-width vectors.

    Raises:
        ArtifactError: the folder of an encoder is damaged or has none.
        InvalidSetting: its manifest cannot be read.
    """
    identities = [EncoderIdentity.from_artifact(folder) for folder in settings.encoders]
    client = es or connect(settings.bounded_elasticsearch)
    return Indexer(
        store=ListingStore(client, settings.prefix, identities, marking),
        photos=build_photos(settings, client, encoders or load_encoders(settings), marks or NoMarks(), keep),
        dead_letters=DeadLetters(client, settings.prefix, identities[0].encoder_id),
        photos_per_listing=settings.photos_per_listing,
    )


def build_photos(
    settings: IndexerSettings,
    es: Elasticsearch,
    encoders: Mapping[Path, ImageEncoder],
    marks: Marks,
    keep: Keep | None,
) -> LoadedPhotos:
    """Return what loads and encodes photos, with encoders by folder.

    Raises:
        ArtifactError: the folder of an encoder is damaged.
    """
    return LoadedPhotos(
        loader=PhotoLoader(
            fetcher=PhotoFetcher(settings.fetch, settings.roots),
            pool=ThreadPoolExecutor(settings.fetch.threads, thread_name_prefix="photo"),
            decoding=threading.Semaphore(settings.decode_threads),
            budget_s=settings.photo_budget_s,
            per_host=settings.fetch.per_host,
        ),
        encoders={encoder.encoder_id: photo_encoder(folder, encoder) for folder, encoder in encoders.items()},
        placeholders=Placeholders(es, marks, settings.placeholder_sellers),
        keep=keep,
    )


def photo_encoder(folder: Path, encoder: ImageEncoder) -> PhotoEncoder:
    """Return the loaded encoder of an artifact with its decoder.

    Raises:
        ArtifactError: the folder is damaged or has none.
    """
    return PhotoEncoder(encoder, partial(decode_as, load_artifact(folder).preprocessing))


def build_embedding_log(settings: IndexerSettings) -> EmbeddingLog | None:
    """Return where full-width vectors are kept; None if they are not."""
    if settings.embeddings is None:
        return None
    identities = [EncoderIdentity.from_artifact(folder) for folder in settings.encoders]
    store = ListingStore(connect(settings.bounded_elasticsearch), settings.prefix, identities)
    return EmbeddingLog(settings.embeddings, store.fingerprints)


def work_queue(settings: ProducerSettings) -> WorkQueue:
    """Return the queue of listings."""
    return WorkQueue.of(settings, TASKS)


def build_changes(settings: IndexerSettings) -> Changes:
    """Return the marks of changed items, in the Redis of the queue. No task writes after its hard limit."""
    client = work_queue(settings).client
    return Changes(client, settings.prefix, longest_write_s=settings.hard_limit_s)


def build_marks(settings: ProducerSettings) -> RedisMarks:
    """Return the marks of photos, in the Redis of the queue."""
    return RedisMarks(work_queue(settings).client, settings.prefix)


def build_parking(settings: ProducerSettings) -> ParkingLot:
    """Return the parking lot, in the Redis of the queue."""
    return ParkingLot(work_queue(settings).client, settings.prefix)
