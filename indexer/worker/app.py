"""The Celery app: `celery -A indexer.worker.app worker`."""

from __future__ import annotations

import gc
import logging
import os
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from celery import Celery, signals
from celery.worker.control import inspect_command
from elasticsearch import ApiError, TransportError

from cache.changes import Changes, RedisUnavailable
from indexer.photos.buckets import BucketReader
from indexer.settings import IndexerSettings, ProducerSettings
from indexer.worker.bootstrap import (
    build_changes,
    build_embedding_log,
    build_indexer,
    build_marks,
    build_parking,
    work_queue,
)
from indexer.worker.embedding_log import EmbeddingLog
from indexer.worker.encoder_check import check_encoder
from indexer.worker.encoders import load_encoders
from indexer.worker.metrics import METRICS, set_encoder
from indexer.worker.pipeline.indexer import Indexer
from indexer.worker.reports import Reports
from mappings.aliases import writable_indices
from mappings.client import connect
from mappings.creation import LISTING_FIELDS, ensure_fields
from mappings.errors import IndexMissing
from mappings.identity import EncoderIdentity
from mappings.listing import MAX_PHOTOS
from ml.artifact import load_artifact
from ml.inference.encoder import ImageEncoder
from monitoring.worker import WatchedWorker
from queues import celery_app
from queues import metrics as queue_metrics
from queues.broker import transport_options
from queues.parking import ParkingLot
from queues.refused_messages import RESULT_EXPIRES_S
from queues.work_queue import WorkQueue
from settings.errors import UserError
from telemetry.logs import line

log = logging.getLogger(__name__)


@cache
def settings() -> IndexerSettings:
    """Return this process's settings, read when first needed."""
    return IndexerSettings.from_environ(os.environ)


@cache
def indexer() -> Indexer:
    """Return this process's indexer, with its encoder."""
    embeddings = embedding_log()
    return build_indexer(
        settings(),
        encoders=encoders(),
        marking=changes().of,
        marks=build_marks(settings()),
        keep=embeddings.add if embeddings else None,
    )


@cache
def encoders() -> Mapping[Path, ImageEncoder]:
    """Return this process's encoders by folder."""
    return load_encoders(settings())


@cache
def embedding_log() -> EmbeddingLog | None:
    """Return where this process keeps full-width vectors; None if it does not."""
    return build_embedding_log(settings())


@cache
def changes() -> Changes:
    """Return this process's marks of changed items."""
    return build_changes(settings())


@cache
def queue() -> WorkQueue:
    """Return this process's queue."""
    return work_queue(settings())


@cache
def parking() -> ParkingLot:
    """Return this process's parking lot."""
    return build_parking(settings())


@cache
def reports() -> Reports:
    """Return where this process tells outcomes."""
    encoder_id = EncoderIdentity.from_artifact(settings().encoder).encoder_id
    return Reports.of(queue(), settings().outcome_stream_length, encoder_id)


def configuration(chosen: ProducerSettings) -> dict[str, Any]:
    """Return Celery's settings."""
    return celery_app.configuration(work_queue(chosen)) | {
        "imports": ("indexer.worker.tasks",),
        # Who submits listings may wait for the summary of each chunk.
        "result_backend": chosen.redis_url,
        "result_backend_transport_options": transport_options(
            chosen.unacked_key, chosen.visibility_timeout_s
        ),
        "result_serializer": "json",
        "result_expires": RESULT_EXPIRES_S,
        # A result that Redis does not accept is retried: without it the submission would wait forever.
        "result_backend_always_retry": True,
        "result_backend_max_retries": 10,
        "redis_socket_timeout": 30,
        "redis_retry_on_timeout": True,
        # Before Redis gives the message to another worker.
        "task_soft_time_limit": chosen.soft_limit_s,
        "task_time_limit": chosen.hard_limit_s,
        # Decoders' memory stays fragmented; a fresh process costs a second or two.
        "worker_max_tasks_per_child": 2000,
        # Sending (a retry above all) rides out a restart of Redis of about ten seconds.
        "task_publish_retry_policy": {
            "max_retries": 12,
            "interval_start": 0.1,
            "interval_step": 0.2,
            "interval_max": 1,
        },
    }


def producer(chosen: ProducerSettings) -> Celery:
    """Return an app that sends tasks and keeps no track of their results."""
    return celery_app.producer_app("nitamono-producer", configuration(chosen))


app = celery_app.worker_app("nitamono", lambda: configuration(settings()))
WatchedWorker("listings", settings, (*METRICS, *queue_metrics.METRICS)).connect()


@inspect_command()  # type: ignore[untyped-decorator]  # as above
def encoder_ids(_: object) -> dict[str, Any]:
    """Answer which encoders this worker has, and for how many photos of a listing it can write vectors, to
    whoever is to change either of the live index.

    All workers on a Redis are asked, so the answer has the queue as well.
    """
    encoders = [EncoderIdentity.from_artifact(folder).encoder_id for folder in settings().encoders]
    return {"queue": settings().queue, "encoders": encoders, "photos": MAX_PHOTOS}


@signals.celeryd_after_setup.connect  # type: ignore[untyped-decorator]  # as above
def check_contract(**_: object) -> None:
    """Refuse to start with an encoder that is damaged or fails here, or with indices for another one."""
    chosen = settings()
    try:
        for folder in chosen.encoders:
            load_artifact(folder)
        check_encoder(os.environ)
        BucketReader(chosen.fetch)  # refuses buckets whose library is not installed
        identities = [EncoderIdentity.from_artifact(folder) for folder in chosen.encoders]
        with connect(chosen.elasticsearch) as es:
            indices = writable_indices(es, chosen.prefix, identities)
            ensure_fields(es, indices, LISTING_FIELDS)
    except IndexMissing as error:
        log.warning(line("no_index_yet", detail=str(error)))
    except (TransportError, ApiError) as error:
        log.warning(line("elasticsearch_unavailable", detail=str(error)))
    except UserError as error:
        sys.exit(f"The indexer cannot start: {error}")
    else:
        log.info(
            line(
                "ready",
                encoders=",".join(identity.encoder_id for identity in identities),
                indices=",".join(indices),
            )
        )


@signals.worker_process_init.connect  # type: ignore[untyped-decorator]  # as above
def load(**_: object) -> None:
    """Load the encoder before the first chunk arrives, and let the API store answers."""
    for folder, encoder in encoders().items():
        set_encoder(load_artifact(folder), encoder)
    indexer()
    try:
        changes().announce()
    except RedisUnavailable as error:  # the first chunk does it
        log.warning(line("redis_unavailable", detail=str(error)))
    gc.collect()
    gc.freeze()  # collections would go over it each time: about a tenth of the time of a price change


@signals.worker_process_shutdown.connect  # type: ignore[untyped-decorator]  # as above
def close_embeddings(**_: object) -> None:
    """Write the full-width vectors that wait in memory."""
    if embeddings := embedding_log():
        embeddings.close()
