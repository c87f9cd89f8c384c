"""One delivery of a chunk: settled events are counted, waiting ones are retried, none is lost."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Final

from indexer.settings import IndexerSettings
from indexer.summary import EventOutcome, IndexingSummary, rejected
from indexer.worker.metrics import count_chunk, count_parked
from indexer.worker.pipeline.chunk import Chunk
from indexer.worker.pipeline.indexer import Indexer
from mappings.failures import UNAVAILABLE
from queues.halving import by_halves
from queues.parking import GivenUp, ParkingLot
from queues.task import OUT_OF_MEMORY
from telemetry.logs import line

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Delivery:
    """The summary so far, the events to retry, and the outcomes of the others by their index."""

    summary: IndexingSummary
    remaining: Sequence[Any] = ()
    outcomes: Mapping[int, EventOutcome] = field(default_factory=dict)
    encoder_ids: Sequence[str] = ()
    """Those of all indices that were written to."""


WAITS: Final = None
"""The result of an event that needs another attempt."""
Result = EventOutcome | GivenUp | None


def deliver(
    indexer: Indexer,
    parking: ParkingLot,
    settings: IndexerSettings,
    messages: Sequence[Sequence[Any]],
    retries: int,
) -> list[Delivery]:
    """Index the events of messages as one chunk, and return what became of each message.

    retries: number of earlier attempts. After the last one nothing remains: what Elasticsearch does not
        accept is parked. A chunk that needs more memory than there is, is split in halves; an event that does
        so by itself is parked.
    """

    encoder_ids: dict[str, None] = {}  # a set that keeps the order

    def index(part: Sequence[Any]) -> list[Result]:
        chunk = indexer.index(part, attempt=retries + 1, final=retries >= settings.photo_retries)
        log_chunk(chunk)
        encoder_ids.update((vectors.encoder_id, None) for vectors in chunk.indices.values())
        return [result_of(chunk, position, retries >= settings.max_retries) for position in range(len(part))]

    def too_large(part: Sequence[Any], error: MemoryError) -> list[Result]:
        return [*given_up(part, OUT_OF_MEMORY, repr(error))]

    events = [event for message in messages for event in message]
    results = [result for part in by_halves(index, events, too_large) for result in part]
    # Last and at once: a delivery that fails before is repeated, and would park events twice.
    park(parking, [result for result in results if isinstance(result, GivenUp)])
    of_each = iter(results)
    return [
        replace(delivery_of(message, list(islice(of_each, len(message)))), encoder_ids=tuple(encoder_ids))
        for message in messages
    ]


def result_of(chunk: Chunk, position: int, is_last: bool) -> Result:
    """Return the result of an event after an attempt, the last one or another."""
    failure = chunk.waiting.get(position)
    if failure is None:
        return chunk.outcomes[position]
    return GivenUp(chunk.events[position], UNAVAILABLE, failure.detail) if is_last else WAITS


def delivery_of(events: Sequence[Any], results: Sequence[Result]) -> Delivery:
    """Return what became of a message, by the results of its events."""
    outcomes = {
        index: outcome_of(result) if isinstance(result, GivenUp) else result
        for index, result in enumerate(results)
        if result is not WAITS
    }
    remaining = [event for index, event in enumerate(events) if index not in outcomes]
    return Delivery(IndexingSummary.of(outcomes.values()), remaining, outcomes)


def outcome_of(parked: GivenUp) -> EventOutcome:
    """Return the outcome of an event that is parked."""
    return rejected(parked.reason)


def give_up(parking: ParkingLot, events: Sequence[Any], reason: str, detail: str) -> Delivery:
    """Park all events of a message, and return what became of it."""
    entries = given_up(events, reason, detail)
    park(parking, entries)
    return delivery_of(events, entries)


def given_up(events: Sequence[Any], reason: str, detail: str) -> list[GivenUp]:
    """Return the events with the reason to park them."""
    return [GivenUp(event, reason, detail) for event in events]


def park(parking: ParkingLot, entries: Sequence[GivenUp]) -> None:
    """Park the events, and log how many for which reason."""
    parking.park(entries)
    reasons = Counter(entry.reason for entry in entries)
    count_parked(reasons)
    details = {entry.reason: entry.detail for entry in entries}
    for reason, count in reasons.items():
        log.error(line("parked", events=count, reason=reason, detail=details[reason]))


def log_chunk(chunk: Chunk) -> None:
    """Count the chunk, and log a line for it and one for each event that failed or waits."""
    count_chunk(chunk)
    summary = IndexingSummary.of(chunk.outcomes_in_order())
    took = {f"{stage}_ms": seconds * 1000 for stage, seconds in chunk.stage_times.seconds.items()}
    log.info(
        line(
            "chunk",
            events=len(chunk.events),
            indexed=summary.indexed,
            without_vector=sum(summary.without_vector.values()),
            unchanged=summary.unchanged,
            outdated=summary.outdated,
            rejected=sum(summary.rejected.values()),
            waiting=len(chunk.waiting),
            encoded=chunk.encoded,
            attempt=chunk.attempt,
            **chunk.stage_times.counts,
            **took,
        )
    )
    for position, letter in chunk.dead_letters.items():
        kind = chunk.outcomes[position].kind
        log.warning(line(kind, item_id=letter.item_id, reason=letter.reason, detail=letter.detail[:300]))
    for failure in dict.fromkeys(map(str, chunk.waiting.values())):
        log.warning(line("waiting", detail=failure[:300]))
