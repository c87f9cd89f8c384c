"""The Celery tasks. What they do is in `delivery` and `pipeline`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from celery.exceptions import SoftTimeLimitExceeded

from indexer.summary import IndexingSummary
from indexer.worker.app import app, indexer, parking, queue, reports, settings
from indexer.worker.arguments import IndexArguments, RemoveArguments, index_arguments, part_of
from indexer.worker.delivery import Delivery, deliver, give_up
from indexer.worker.gathering import Gathering
from indexer.worker.metrics import count_messages
from indexer.worker.reports import Attempt
from mappings.changes import REMOVE
from monitoring.queues import lane_name
from queues.deliveries import MOST_DELIVERIES
from queues.lanes import LIVE
from queues.listings.jobs import JobPart
from queues.listings.names import INDEX_TASK, REMOVE_TASK
from queues.origin import current_origin
from queues.task import TASK_FAILED, WORKER_LOST, QueueTask
from queues.work_queue import WorkQueue

SummaryJson = dict[str, Any]


class ChunkTask(QueueTask):
    """A task about a chunk, whose events are parked if it fails."""

    @property
    def is_final(self) -> bool:
        """Whether this is the last attempt at the chunk."""
        return bool(self.request.retries >= settings().max_retries)

    @property
    def priority(self) -> int:
        """That of the message."""
        return int((self.request.delivery_info or {}).get("priority") or LIVE)

    def work_queue(self) -> WorkQueue:
        """Return the queue of listings."""
        return queue()

    def content_of(
        self, events: Sequence[Any], summary: SummaryJson | None = None, job: Any = None
    ) -> tuple[Sequence[Any], JobPart | None]:
        """Return the events in the task's arguments, and the job that they are part of."""
        del summary
        return events, part_of(job)

    def give_up(self, args: Sequence[Any], kwargs: Mapping[str, Any], detail: str) -> None:
        """Park the events of a call that failed."""
        events, job = self.content_of(*args, **kwargs)
        delivery = give_up(parking(), events, TASK_FAILED, detail)
        reports().tell([Attempt(events, job, delivery)])

    def describe(self, error: Exception) -> str:
        """Return the error with its text: listings are public."""
        return repr(error)


class RemovalTask(ChunkTask):
    """A task about items to be removed."""

    def content_of(self, item_ids: Sequence[Any], at: str) -> tuple[Sequence[Any], None]:  # type: ignore[override]  # its own
        """Return the removals as events."""
        return removals(item_ids, at), None


@app.task(bind=True, base=ChunkTask, name=INDEX_TASK, arguments=IndexArguments)  # type: ignore[untyped-decorator]  # Celery has no types
def index_listings(
    self: ChunkTask, events: Sequence[Any], summary: SummaryJson | None = None, job: Any = None
) -> SummaryJson:
    """Index a chunk of events and return the summary of all of them, retries included.

    Only a later attempt has a summary to add to; the summary of a first one is ignored. A first attempt at
    few events processes other messages with its own. The outcome of each event is told to its job.
    """
    part = part_of(job)
    if self.request.retries:
        return index_chunk(self, events, IndexingSummary.from_json(summary), part)
    return index_chunk(self, events, IndexingSummary(), part, settings().batch_size - len(events))


@app.task(bind=True, base=RemovalTask, name=REMOVE_TASK, arguments=RemoveArguments)  # type: ignore[untyped-decorator]  # as above
def remove_listings(self: RemovalTask, item_ids: Sequence[str], at: str) -> SummaryJson:
    """Replace each item by a tombstone, unless an event later than `at` (ISO 8601) is known."""
    return index_chunk(self, removals(item_ids, at), IndexingSummary())


def removals(item_ids: Sequence[Any], at: str) -> list[dict[str, Any]]:
    """Return the events that remove the items."""
    return [{"op": REMOVE, "item_id": item_id, "updated_at": at} for item_id in item_ids]


def index_chunk(
    task: ChunkTask,
    events: Sequence[Any],
    summary: IndexingSummary,
    job: JobPart | None = None,
    room: int = 0,
) -> SummaryJson:
    """Return the summary of the chunk once no event of it waits; until then retry those that do.

    summary: of earlier attempts. room: events of other messages that may be processed with it.
    """
    try:
        with task.delivery() as count:
            delivery = attempt(task, events, job, count, room)
    except SoftTimeLimitExceeded:
        if task.is_final:
            raise
        delivery = Delivery(IndexingSummary(), events)
    summary += delivery.summary
    if delivery.remaining:
        arguments = index_arguments(delivery, summary, job)
        task.retry_as(index_listings, arguments, settings().longest_wait_s)
    return summary.to_json()


def attempt(task: ChunkTask, events: Sequence[Any], job: JobPart | None, count: int, room: int) -> Delivery:
    """Return the result of one attempt at the chunk, whose message is delivered for the `count`-th time."""
    if count > MOST_DELIVERIES:
        detail = f"{MOST_DELIVERIES} workers ended while they had the chunk"
        own = give_up(parking(), events, WORKER_LOST, detail)
        reports().tell([Attempt(events, job, own)])
        return own
    gathering = Gathering(queue(), task.request.id, task.priority)
    with gathering.companions(room) as companions:
        messages = [(events, job), *((companion.events, companion.job) for companion in companions)]
        chunks, parts = zip(*messages, strict=True)
        deliveries = deliver(indexer(), parking(), settings(), chunks, task.request.retries)
        reports().tell(map(Attempt, chunks, parts, deliveries))
        own, *others = deliveries
        gathering.settle(companions, others, settings().longest_wait_s)
    origins = (current_origin(), *(companion.message.origin for companion in companions))
    summaries = (delivery.summary for delivery in (own, *others))
    count_messages(lane_name(settings().queue, task.priority), zip(origins, summaries, strict=True))
    return own
