"""Metrics of the worker of listings."""

from __future__ import annotations

import re
import time
from collections import Counter as Counts
from collections.abc import Iterable, Mapping
from typing import Final

from indexer.summary import IndexingSummary
from indexer.worker.pipeline.chunk import Chunk
from mappings.failures import Failure
from mappings.listing import instant_of
from ml.artifact import EncoderArtifact
from ml.inference.encoder import ImageEncoder
from monitoring.reasons import reason_label
from queues.listings.outcomes import OutcomeKind
from queues.origin import Origin
from telemetry.metrics import LAGS, SIZES, Counter, Gauge, Histogram, Metric

EVENTS: Final = Counter(
    "nitamono_listing_events_total",
    "Events of listings by outcome.",
    ("outcome", "reason"),
    "A rising share of `rejected` or `indexed_without_vector`: `/operator` and `nitamono indexer "
    "dead-letters list` show the reasons and examples. `parked`: Elasticsearch was unavailable for "
    "minutes, or a worker ended with the message again and again. An event whose process was killed is "
    "counted each time it is processed.",
)
RETRIES: Final = Counter(
    "nitamono_listing_event_retries_total",
    "Events that wait for another attempt, by the failure of this one.",
    ("reason",),
    "`photo_unavailable`: a photo host fails. Other reasons: check the health and disks of Elasticsearch.",
)
EVENT_LAG: Final = Histogram(
    "nitamono_event_lag_seconds",
    "Time from updated_at of an event until its document was written.",
    (),
    "Searches find a document after the next refresh, at most a second later by default. If "
    "`nitamono_message_lag_seconds` is short, the producer sends late, its clock is wrong, or this is a "
    "backfill.",
    buckets=LAGS,
)
MESSAGE_LAG: Final = Histogram(
    "nitamono_message_lag_seconds",
    "Time from the queueing of a message until its documents were written.",
    ("queue",),
    "Workers are behind: add processes, or find the slow stage in `nitamono_stage_seconds`. Messages "
    "without the header `enqueued_at` are not measured.",
    buckets=LAGS,
)
CHUNK_EVENTS: Final = Histogram(
    "nitamono_chunk_events",
    "Events in a chunk.",
    (),
    "Full chunks (NITAMONO_BATCH_SIZE) while the queue grows: the workers are at their limit. Chunks of "
    "one event while it grows: messages are not gathered, such as those above 64 kB.",
    buckets=SIZES,
)
BATCH_PHOTOS: Final = Histogram(
    "nitamono_encoder_batch_photos",
    "Photos that the encoder was given at once.",
    (),
    "Small batches are normal while little arrives, and cost throughput while the queue grows.",
    buckets=SIZES,
)
STAGE_SECONDS: Final = Histogram(
    "nitamono_stage_seconds",
    "Time of a chunk in a stage.",
    ("stage",),
    "`read` and `write` wait for Elasticsearch, `placeholders` for Redis. `photos` is the time for all "
    "photos; `fetch` and `decode`, its parts, are summed over threads. `encode` depends on the encoder, "
    "its precision and its threads.",
)
BULK_ERRORS: Final = Counter(
    "nitamono_bulk_errors_total",
    "Documents that Elasticsearch did not accept.",
    ("reason",),
    "`version_conflict_engine_exception`: another writer changed the item meanwhile; harmless, it is read "
    "again. `cluster_block_exception`: a disk is full or the index read-only. "
    "`es_rejected_execution_exception`: it is overloaded; use fewer processes.",
)
PHOTOS: Final = Counter(
    "nitamono_photos_total",
    "Photos by the result of fetching and decoding.",
    ("result",),
    "Results other than `ok` are reason codes of dead letters. `photo_unavailable` is retried. If one "
    "rises suddenly, a photo host fails or a producer sends wrong references.",
)
ENCODER: Final = Gauge(
    "nitamono_encoder_info",
    "1 for the encoder of a worker, with its library and precision.",
    ("encoder", "backend", "precision"),
    "`f32` where `bf16` or `int8` is expected: the CPU lacks it, is slower in it, or computes it "
    "wrongly; the worker's log says the last. Two encoders: workers are being replaced, or "
    "NITAMONO_ENCODER_DIR differs between them.",
)
EXPLAINED: Final = Gauge(
    "nitamono_encoder_explained_variance_ratio",
    "Share of the variance that PCA keeps, as measured when the artifact was made.",
    ("encoder",),
    "It belongs to the artifact and changes only with it. [Drift](#drift) is measured on stored vectors.",
)
LAST_WRITE: Final = Gauge(
    "nitamono_last_write_timestamp_seconds",
    "Unix time at which a document was last written.",
    (),
    "Ahead of `nitamono_index_newest_timestamp_seconds` by more than seconds: what is written is not "
    "found. Check `refresh_interval` of the index.",
)
METRICS: Final[tuple[Metric, ...]] = (
    EVENTS,
    RETRIES,
    EVENT_LAG,
    MESSAGE_LAG,
    CHUNK_EVENTS,
    BATCH_PHOTOS,
    STAGE_SECONDS,
    BULK_ERRORS,
    PHOTOS,
    ENCODER,
    EXPLAINED,
    LAST_WRITE,
)

_PARKED: Final = "parked"
_WRITTEN: Final = {OutcomeKind.INDEXED, OutcomeKind.WITHOUT_VECTOR}


def count_chunk(chunk: Chunk) -> None:
    """Count a chunk after an attempt at it."""
    CHUNK_EVENTS.observe(len(chunk.events))
    for outcome, count in Counts(chunk.outcomes.values()).items():
        EVENTS.add(outcome.kind, reason_label(outcome.reason), by=count)
    for reason, count in Counts(failure.reason for failure in chunk.waiting.values()).items():
        RETRIES.add(reason_label(reason), by=count)
    for reason, count in Counts(map(_type_of, chunk.bulk_failures)).items():
        BULK_ERRORS.add(reason_label(reason), by=count)
    for result, count in chunk.photo_results.items():
        PHOTOS.add(reason_label(result), by=count)
    if chunk.encoded:
        BATCH_PHOTOS.observe(chunk.encoded)
    for stage, seconds in chunk.stage_times.seconds.items():
        STAGE_SECONDS.observe(seconds, stage)
    _count_written(chunk)


def count_parked(reasons: Mapping[str, int]) -> None:
    """Count events that were parked."""
    for reason, count in reasons.items():
        EVENTS.add(_PARKED, reason_label(reason), by=count)


def count_messages(queue: str, messages: Iterable[tuple[Origin, IndexingSummary]]) -> None:
    """Measure the lag of messages, given with their results, for which a document was written."""
    now = time.time()
    for origin, summary in messages:
        age_s = origin.age_s(now)
        if age_s is not None and (summary.indexed or summary.without_vector):
            MESSAGE_LAG.observe(age_s, queue)


def set_encoder(artifact: EncoderArtifact, encoder: ImageEncoder) -> None:
    """Name the encoder of this process."""
    ENCODER.set(1, encoder.encoder_id, encoder.backend, encoder.precision)
    explained = artifact.manifest.training.get("pca_explained_variance")
    if isinstance(explained, float):
        EXPLAINED.set(explained, encoder.encoder_id)


def _count_written(chunk: Chunk) -> None:
    now = time.time()
    written = [
        instant_of(entry.state.latest).timestamp()
        for entries in chunk.entries.values()
        for entry in entries
        if entry.position in chunk.outcomes and chunk.outcomes[entry.position].kind in _WRITTEN
    ]
    for updated_at in written:
        EVENT_LAG.observe(max(0.0, now - updated_at))
    if written:
        LAST_WRITE.set(now)


def _type_of(failure: Failure) -> str:
    """Return Elasticsearch's type of an error, which begins the detail, or else the reason code."""
    match = re.match(r"[a-z_]+_exception(?=:)", failure.detail)
    return match[0] if match else failure.reason
