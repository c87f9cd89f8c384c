"""What a worker tells of outcomes: to the job that a message is part of, and to the stream for producers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from indexer.summary import EventOutcome
from indexer.worker.delivery import Delivery
from mappings.listing import item_id_of
from mappings.problems import printable
from queues.listings.jobs import JobPart, Jobs
from queues.listings.outcomes import OutcomeStream, ToldOutcome
from queues.work_queue import WorkQueue

MOST_TIME: Final = 64
"""Characters of the time of an event, which may be invalid."""


@dataclass(frozen=True)
class Attempt:
    """One attempt at a message: its events, its part in a job, and what became of it."""

    events: Sequence[Any]
    job: JobPart | None
    delivery: Delivery


@dataclass(frozen=True)
class Reports:
    """Where outcomes are told."""

    queue: WorkQueue
    stream: OutcomeStream
    encoder_id: str
    """That of the worker's own."""

    @classmethod
    def of(cls, queue: WorkQueue, stream_length: int, encoder_id: str) -> Reports:
        """Return where the outcomes of a queue are told."""
        return cls(queue, OutcomeStream(queue.name, stream_length), encoder_id)

    def tell(self, attempts: Iterable[Attempt]) -> None:
        """Tell the outcomes of the events that are settled, all or none.

        Raises:
            RedisError: Redis does not answer.
        """
        interesting = [each for each in attempts if each.job or self.stream.length]
        if not interesting:
            return
        jobs = Jobs(self.queue.client, self.queue.name)
        with self.queue.client.pipeline() as pipe:
            for attempt in interesting:
                told = told_outcomes(attempt.events, attempt.delivery.outcomes)
                if attempt.job:
                    jobs.report(pipe, attempt.job, told)
                self.stream.add(pipe, told.values(), self.encoder_id, attempt.delivery.encoder_ids)
            pipe.execute()


def told_outcomes(events: Sequence[Any], outcomes: Mapping[int, EventOutcome]) -> dict[int, ToldOutcome]:
    """Return the outcomes as producers are told them, by index."""
    return {index: told(events[index], outcome) for index, outcome in outcomes.items()}


def told(event: object, outcome: EventOutcome) -> ToldOutcome:
    """Return an outcome as the producer of its event is told it. The event may be anything."""
    fields = event if isinstance(event, Mapping) else {}
    item_id, updated_at = item_id_of(fields), fields.get("updated_at")
    _, detail = outcome.example or (None, None)
    return ToldOutcome(
        outcome.kind,
        item_id and printable(item_id),
        None if updated_at is None else printable(str(updated_at)[:MOST_TIME]),
        outcome.reason,
        detail,
    )
