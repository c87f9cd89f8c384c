"""What needs an operator now, with the next step. deploy/prometheus/alerts.yml has the same limits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from console.counts import count_of
from mappings.names import read_alias
from monitoring.indices import IndexFigures
from monitoring.queues import QueueState
from monitoring.state import State
from monitoring.workers import WorkerReport

OLDEST_S: Final = 60.0
"""The age of a waiting message. A worker in time takes it within seconds."""
COVERAGE: Final = 0.95
DEVIATION: Final = 1.0
"""In spreads of the artifact's similarity."""
SHIFT: Final = 0.1
UNSEARCHABLE_S: Final = 30.0
"""Between a write and the newest document that searches find. The default refresh is a second."""

LAST_WRITE: Final = "nitamono_last_write_timestamp_seconds"
ENCODER: Final = "nitamono_encoder_info"


@dataclass(frozen=True)
class Finding:
    """Something that is wrong, and what to do."""

    text: str
    next_step: str


def findings(state: State, prefix: str) -> list[Finding]:
    """Return what is wrong, the most urgent first."""
    return [
        *_of_services(state),
        *_of_workers(state),
        *_of_queues(state.queues),
        *_of_events(state),
        *_of_indices(state, prefix),
        *_of_drift(state),
    ]


def _of_services(state: State) -> Iterator[Finding]:
    for service, problem in state.problems.items():
        yield Finding(f"{service} does not answer: {problem}", "Start it, or check its address and password.")


def _of_workers(state: State) -> Iterator[Finding]:
    if "redis" in state.problems:
        return
    alive = [worker for worker in state.workers if not worker.is_silent]
    if not any(worker.kind == "listings" for worker in alive):
        yield Finding("No worker of listings reports: nothing is indexed.", "Start one, and read its log.")
    for worker in state.workers:
        if worker.is_silent:
            yield Finding(
                f"Worker {worker.node} has not reported for a while.",
                "If it was not stopped on purpose, read its log. It is forgotten after an hour.",
            )
    encoders = {each for worker in alive if (each := _encoders(worker))}
    if len(encoders) > 1:
        yield Finding(
            f"Workers have different encoders: {'; '.join(sorted(encoders))}.",
            "Unless each fills an index of its own, set NITAMONO_ENCODER_DIR alike and restart them.",
        )


def _encoders(worker: WorkerReport) -> str:
    """Return the encoders of a worker, in order."""
    return ", ".join(sorted(worker.samples.by(ENCODER, "encoder")))


def _of_queues(queues: Iterable[QueueState]) -> Iterator[Finding]:
    for queue in queues:
        if queue.oldest_s is not None and queue.oldest_s > OLDEST_S and not queue.is_backfill:
            yield Finding(
                f"The oldest message in {queue.name} has waited {queue.oldest_s:,.0f} s.",
                "Start workers; if they run, find the slow stage below.",
            )
        if queue.refused:
            yield Finding(
                f"{count_of(queue.refused, 'message')} of {queue.name} can be processed by no worker.",
                "`nitamono indexer dead-letters list` and `nitamono events rejected list` show them.",
            )


def _of_events(state: State) -> Iterator[Finding]:
    if state.parked:
        yield Finding(
            f"{count_of(state.parked, 'event')} could be stored nowhere and wait in Redis.",
            "Once Elasticsearch is well: `nitamono indexer dead-letters replay`.",
        )


def _of_indices(state: State, prefix: str) -> Iterator[Finding]:
    if "elasticsearch" in state.problems:
        return
    live = [index for index in state.indices if read_alias(prefix) in index.state.aliases]
    if not live:
        yield Finding("No index is live.", "`nitamono mappings create --live` creates one.")
    for index in live:
        yield from _of_live_index(index, state.workers)


def _of_live_index(index: IndexFigures, workers: Iterable[WorkerReport]) -> Iterator[Finding]:
    if index.coverage is not None and index.coverage < COVERAGE:
        yield Finding(
            f"{index.coverage:.1%} of the listings in {index.state.name} have a vector.",
            "The reasons are below. The others are in no answer by photo.",
        )
    writes = [
        worker.samples.total(LAST_WRITE)
        for worker in workers
        if index.state.encoder_id in worker.samples.by(ENCODER, "encoder")
    ]
    if index.newest and writes and max(writes) - index.newest.timestamp() > UNSEARCHABLE_S:
        yield Finding(
            f"What was last written to {index.state.name} is not found by searches.",
            "Check `refresh_interval` of the index: a value of -1 turns refreshes off.",
        )


def _of_drift(state: State) -> Iterator[Finding]:
    drift = state.drift
    if drift is None:
        return
    if abs(drift.deviation) > DEVIATION:
        yield Finding(
            f"The newest listings have neighbours at a cosine of {drift.similarity:.3f}, the artifact's own "
            f"photos at {drift.encoder.similarity_mean:.3f}.",
            "Fit the ranking to this catalogue with `nitamono query calibrate`.",
        )
    if drift.centre_shift > SHIFT:
        yield Finding(
            f"The newest listings look unlike the rest: the mean is {drift.centre_shift:.2f} variances away.",
            "See what arrived lately; `nitamono ml check` tells whether the encoder copes.",
        )
