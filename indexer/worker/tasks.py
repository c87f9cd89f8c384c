"""The Celery tasks. What they do is in `delivery` and `pipeline`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from celery.exceptions import SoftTimeLimitExceeded

from indexer.summary import IndexingSummary
from indexer.worker.app import app, indexer, parking, queue, settings
from indexer.worker.arguments import INDEX_TASK, REMOVE_TASK, IndexArguments, RemoveArguments
from indexer.worker.delivery import Delivery, deliver, given_up, park
from indexer.worker.gathering import Gathering
from mappings.changes import REMOVE
from queues.deliveries import MOST_DELIVERIES
from queues.task import TASK_FAILED, WORKER_LOST, QueueTask
from queues.work_queue import WorkQueue

SummaryJson = dict[str, Any]


class ChunkTask(QueueTask):
    """A task about a chunk, whose events are parked if it fails."""

    @property
    def is_final(self) -> bool:
        """Whether this is the last attempt at the chunk."""
        return bool(self.request.retries >= settings().max_retries)

    def work_queue(self) -> WorkQueue:
        """Return the queue of listings."""
        return queue()

    def events_of(self, events: Sequence[Any], summary: SummaryJson | None = None) -> Sequence[Any]:
        """Return the events in the task's arguments."""
        del summary
        return events

    def give_up(self, args: Sequence[Any], kwargs: Mapping[str, Any], detail: str) -> None:
        """Park the events of a call that failed."""
        park(parking(), given_up(self.events_of(*args, **kwargs), TASK_FAILED, detail))

    def describe(self, error: Exception) -> str:
        """Return the error with its text: listings are public."""
        return repr(error)


class RemovalTask(ChunkTask):
    """A task about items to be removed."""

    def events_of(self, item_ids: Sequence[Any], at: str) -> Sequence[Any]:  # type: ignore[override]  # its own
        """Return the removals as events."""
        return removals(item_ids, at)


@app.task(bind=True, base=ChunkTask, name=INDEX_TASK, arguments=IndexArguments)  # type: ignore[untyped-decorator]  # Celery has no types
def index_listings(self: ChunkTask, events: Sequence[Any], summary: SummaryJson | None = None) -> SummaryJson:
    """Index a chunk of events and return the summary of all of them, retries included.

    Only a later attempt has a summary to add to; the summary of a first one is ignored. A first attempt at
    few events processes other messages with its own.
    """
    if self.request.retries:
        return index_chunk(self, events, IndexingSummary.from_json(summary))
    return index_chunk(self, events, IndexingSummary(), settings().batch_size - len(events))


@app.task(bind=True, base=RemovalTask, name=REMOVE_TASK, arguments=RemoveArguments)  # type: ignore[untyped-decorator]  # as above
def remove_listings(self: RemovalTask, item_ids: Sequence[str], at: str) -> SummaryJson:
    """Replace each item by a tombstone, unless an event later than `at` (ISO 8601) is known."""
    return index_chunk(self, removals(item_ids, at), IndexingSummary())


def removals(item_ids: Sequence[Any], at: str) -> list[dict[str, Any]]:
    """Return the events that remove the items."""
    return [{"op": REMOVE, "item_id": item_id, "updated_at": at} for item_id in item_ids]


def index_chunk(
    task: ChunkTask, events: Sequence[Any], summary: IndexingSummary, room: int = 0
) -> SummaryJson:
    """Return the summary of the chunk once no event of it waits; until then retry those that do.

    summary: of earlier attempts. room: events of other messages that may be processed with it.
    """
    try:
        with task.delivery() as count:
            delivery = attempt(task, events, count, room)
    except SoftTimeLimitExceeded:
        if task.is_final:
            raise
        delivery = Delivery(IndexingSummary(), events)
    summary += delivery.summary
    if delivery.remaining:
        task.retry_as(index_listings, (delivery.remaining, summary.to_json()), settings().longest_wait_s)
    return summary.to_json()


def attempt(task: ChunkTask, events: Sequence[Any], count: int, room: int) -> Delivery:
    """Return the result of one attempt at the chunk, whose message is delivered for the `count`-th time."""
    if count > MOST_DELIVERIES:
        detail = f"{MOST_DELIVERIES} workers ended while they had the chunk"
        return Delivery(park(parking(), given_up(events, WORKER_LOST, detail)))
    gathering = Gathering(queue(), task.request.id)
    with gathering.companions(room) as companions:
        messages = [events, *(companion.events for companion in companions)]
        own, *others = deliver(indexer(), parking(), settings(), messages, task.request.retries)
        gathering.settle(companions, others, settings().longest_wait_s)
    return own
