"""One delivery of a chunk: settled events are counted, waiting ones are retried, none is lost."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from indexer.settings import IndexerSettings
from indexer.summary import IndexingSummary
from indexer.worker.logs import line
from indexer.worker.parking import GivenUp, ParkingLot
from indexer.worker.pipeline.chunk import Chunk
from indexer.worker.pipeline.indexer import Indexer
from mappings.failures import UNAVAILABLE
from queues.halving import by_halves
from queues.task import OUT_OF_MEMORY

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Delivery:
    """The summary so far, the events to retry, and the events to park."""

    summary: IndexingSummary
    remaining: Sequence[Any] = ()
    given_up: Sequence[GivenUp] = ()

    def __add__(self, other: Delivery) -> Delivery:
        """The sum of both."""
        return Delivery(
            self.summary + other.summary,
            [*self.remaining, *other.remaining],
            [*self.given_up, *other.given_up],
        )


def deliver(
    indexer: Indexer,
    parking: ParkingLot,
    settings: IndexerSettings,
    events: Sequence[Any],
    summary: IndexingSummary,
    retries: int,
) -> Delivery:
    """Index the events; `retries` is the number of earlier attempts.

    After the last attempt nothing remains: what Elasticsearch does not accept is parked. A chunk that needs
    more memory than there is, is split in halves; an event that does so by itself is parked.
    """

    def index(part: Sequence[Any]) -> Delivery:
        chunk = indexer.index(part, attempt=retries + 1, final=retries >= settings.photo_retries)
        log_chunk(chunk)
        settled = IndexingSummary.of(chunk.outcomes_in_order())
        if not chunk.waiting or retries < settings.max_retries:
            return Delivery(settled, chunk.remaining())
        detail = next(iter(chunk.waiting.values())).detail
        return Delivery(settled, given_up=given_up(chunk.remaining(), UNAVAILABLE, detail))

    def too_large(part: Sequence[Any], error: MemoryError) -> Delivery:
        return Delivery(IndexingSummary(), given_up=given_up(part, OUT_OF_MEMORY, repr(error)))

    whole = sum(by_halves(index, events, too_large), Delivery(summary))
    # Last and at once: a delivery that fails before is repeated, and would park events twice.
    return Delivery(whole.summary + park(parking, whole.given_up), whole.remaining)


def given_up(events: Sequence[Any], reason: str, detail: str) -> list[GivenUp]:
    """Return the events with the reason to park them."""
    return [GivenUp(event, reason, detail) for event in events]


def park(parking: ParkingLot, entries: Sequence[GivenUp]) -> IndexingSummary:
    """Park the events and return their summary."""
    parking.park(entries)
    reasons = Counter(entry.reason for entry in entries)
    details = {entry.reason: entry.detail for entry in entries}
    for reason, count in reasons.items():
        log.error(line("parked", events=count, reason=reason, detail=details[reason]))
    return IndexingSummary(rejected=reasons)


def log_chunk(chunk: Chunk) -> None:
    """Log a line for the chunk and one for each event that failed or waits."""
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
        log.warning(line(kind, item=letter.item_id, reason=letter.reason, detail=letter.detail[:300]))
    for failure in dict.fromkeys(map(str, chunk.waiting.values())):
        log.warning(line("waiting", detail=failure[:300]))
