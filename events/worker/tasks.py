"""The Celery task. What it does is in `store`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import redis
from celery import Task
from celery.exceptions import Reject

from events.names import STORE_EVENTS
from events.worker.app import app, deliveries, settings, store
from events.worker.arguments import StoreArguments
from events.worker.search_errors import EventsUnavailable
from events.worker.store import Account, store_patiently
from queues.checked_task import BROKEN, LOST, MEMORY, CheckedTask
from queues.deliveries import MOST_DELIVERIES
from queues.halving import by_halves
from queues.messages import MessageRefused, TaskMessage
from queues.refused_messages import RefusedMessages

log = logging.getLogger(__name__)


class EventsTask(CheckedTask):
    """A task about events: whatever breaks it, they are kept."""

    def on_failure(
        self, exc: Exception, task_id: str, args: Sequence[Any], kwargs: Mapping[str, Any], *_: object
    ) -> None:
        """Keeps what Celery would drop after logging the traceback."""
        refusal = exc if isinstance(exc, MessageRefused) else None
        detail = f"task {task_id} failed: {type(exc).__name__}"
        try:
            if refusal is None:
                store().reject(_messages(*args, **kwargs), BROKEN, detail)
        except EventsUnavailable:
            # To the queue it must not go: there it would break the task again and again.
            refusal = MessageRefused(BROKEN, detail)
        if refusal is not None:
            refused = RefusedMessages(deliveries().client, settings().queue)
            refused.keep_call(TaskMessage(self.name, args, kwargs, task_id), refusal)


@app.task(bind=True, base=EventsTask, name=STORE_EVENTS, arguments=StoreArguments)  # type: ignore[untyped-decorator]  # Celery has no types
def store_events(self: Task, messages: Sequence[Any]) -> None:
    """Stores the events; while Elasticsearch is away, gives the message back to the queue."""
    try:
        with deliveries().counted(self.request.id) as count:
            account = store_patiently(_ending(messages, count), settings().patience_s)
    except (EventsUnavailable, redis.RedisError) as error:
        raise Reject(str(error), requeue=True) from error
    log.info("%s", account)


def _ending(messages: Sequence[Any], count: int) -> Callable[[], Account]:
    """How messages that were given out that often come to an end."""
    if count > MOST_DELIVERIES:
        detail = f"{MOST_DELIVERIES} workers ended while they had the message"
        return lambda: store().reject(messages, LOST, detail)

    def give_up(part: Sequence[Any], error: MemoryError) -> Account:
        return store().reject(part, MEMORY, repr(error))

    return lambda: sum(by_halves(store().store, messages, give_up), Account())


def _messages(messages: Sequence[Any]) -> Sequence[Any]:
    return messages
