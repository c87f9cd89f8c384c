"""The Celery task. What it does is in `store`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import redis
from celery import Task
from celery.exceptions import Reject

from experiments.events.app import app, deliveries, settings, store
from experiments.events.arguments import StoreArguments
from experiments.events.search import EventsUnavailable
from experiments.events.store import Account, store_patiently
from mappings.deliveries import MOST_DELIVERIES
from mappings.event_names import STORE_EVENTS
from mappings.memory import by_halves
from mappings.messages import MessageRefused, TaskMessage
from mappings.refused import RefusedMessages
from mappings.tasks import BROKEN, LOST, MEMORY, CheckedTask

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
