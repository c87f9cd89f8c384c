"""The Celery task. What it does is in `store`."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from events.names import STORE_EVENTS
from events.worker.app import app, queue, settings, store
from events.worker.arguments import StoreArguments
from events.worker.metrics import count_events
from events.worker.store import StoreSummary
from queues.backoff import retrying
from queues.deliveries import MOST_DELIVERIES
from queues.halving import by_halves
from queues.task import OUT_OF_MEMORY, TASK_FAILED, WORKER_LOST, QueueTask
from queues.work_queue import WorkQueue

log = logging.getLogger(__name__)

LONGEST_WAIT_S: Final = 10.0
"""Between two attempts of one delivery."""


class EventsTask(QueueTask):
    """A task about events, which are stored as rejected if it fails."""

    def work_queue(self) -> WorkQueue:
        """Return the queue of events."""
        return queue()

    def give_up(self, args: Sequence[Any], kwargs: Mapping[str, Any], detail: str) -> None:
        """Store the events of a call that failed as rejected."""
        (messages,) = (*args, *kwargs.values())
        store().reject(messages, TASK_FAILED, detail)


@app.task(bind=True, base=EventsTask, name=STORE_EVENTS, arguments=StoreArguments)  # type: ignore[untyped-decorator]  # Celery has no types
def store_events(self: EventsTask, messages: Sequence[Any]) -> None:
    """Store the events; while Elasticsearch is unavailable, return the message to the queue."""
    with self.delivery() as count:
        summary = retrying(settings().patience_s, LONGEST_WAIT_S)(attempt, messages, count)
        count_events(summary)
        log.info("%s", summary)


def attempt(messages: Sequence[Any], count: int) -> StoreSummary:
    """Return the result of one attempt at messages that are delivered for the `count`-th time."""
    if count > MOST_DELIVERIES:
        detail = f"{MOST_DELIVERIES} workers ended while they had the message"
        return store().reject(messages, WORKER_LOST, detail)

    def give_up(part: Sequence[Any], error: MemoryError) -> StoreSummary:
        return store().reject(part, OUT_OF_MEMORY, repr(error))

    return sum(by_halves(store().store, messages, give_up), StoreSummary())
