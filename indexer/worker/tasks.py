"""The Celery tasks. What they do is in `delivery` and `pipeline`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import redis
from celery import Task
from celery.exceptions import Ignore, Reject, SoftTimeLimitExceeded
from kombu.exceptions import OperationalError

from indexer.errors import TransientFailure
from indexer.summary import Account
from indexer.worker.app import app, indexer, parking, settings
from indexer.worker.arguments import INDEX_TASK, REMOVE_TASK, IndexArguments, RemoveArguments
from indexer.worker.delivery import Delivery, deliver, given_up, park, wait_before
from indexer.worker.removal import bare_removals, removal_events
from queues.checked_task import BROKEN, LOST, CheckedTask
from queues.deliveries import MOST_DELIVERIES, Deliveries
from queues.messages import MessageRefused, TaskMessage
from queues.refused_messages import RefusedMessages

AccountJson = dict[str, Any]


class ChunkTask(CheckedTask):
    """A task about a chunk: whatever breaks it, its events are kept."""

    def events_of(self, events: Sequence[Any], account: AccountJson | None = None) -> Sequence[Any]:
        """The events in the task's arguments."""
        del account
        return events

    def on_failure(
        self, exc: Exception, task_id: str, args: Sequence[Any], kwargs: Mapping[str, Any], *_: object
    ) -> None:
        """Keeps what Celery would drop after logging the traceback."""
        if isinstance(exc, MessageRefused):
            refused = RefusedMessages(parking().client, settings().queue)
            refused.keep_call(TaskMessage(self.name, args, kwargs, task_id), exc)
        else:
            events = self.events_of(*args, **kwargs)
            park(parking(), given_up(events, BROKEN, f"task {task_id} failed: {exc!r}"))


class RemovalTask(ChunkTask):
    """A task about items to be removed."""

    def events_of(self, item_ids: Sequence[Any], at: str) -> Sequence[Any]:  # type: ignore[override]  # its own
        """The removals as events."""
        return bare_removals(item_ids, at)


@app.task(bind=True, base=ChunkTask, name=INDEX_TASK, arguments=IndexArguments)  # type: ignore[untyped-decorator]  # Celery has no types
def index_listings(self: Task, events: Sequence[Any], account: AccountJson | None = None) -> AccountJson:
    """Indexes a chunk of events and returns the account of all of them, retries included.

    Only a later attempt has an account to add to; whoever sends a first one with it is not believed.
    """
    return index_chunk(self, events, Account.from_json(account if self.request.retries else None))


@app.task(bind=True, base=RemovalTask, name=REMOVE_TASK, arguments=RemoveArguments)  # type: ignore[untyped-decorator]  # as above
def remove_listings(self: Task, item_ids: Sequence[str], at: str) -> AccountJson:
    """Puts a tombstone in the place of each item, unless an event later than `at` (ISO 8601) is known."""
    try:
        events = removal_events(indexer().store, item_ids, at)
    except TransientFailure:
        if not is_final(self):
            send_again(self, self, item_ids, at)
        events = bare_removals(item_ids, at)
    return index_chunk(self, events, Account())


def index_chunk(task: Task, events: Sequence[Any], account: Account) -> AccountJson:
    """The account of the chunk, when nothing remains of it; until then its remains are sent again."""
    message = f"{task.request.id}:{task.request.retries}"
    try:
        with Deliveries(parking().client, settings().queue).counted(message) as count:
            delivery = attempt(events, account, task.request.retries, count)
    except SoftTimeLimitExceeded:
        if is_final(task):
            raise
        send_again(task, index_listings, events, account.to_json())
    except redis.RedisError as error:
        raise Reject(str(error), requeue=True) from error
    if delivery.remaining:
        send_again(task, index_listings, delivery.remaining, delivery.account.to_json())
    return delivery.account.to_json()


def attempt(events: Sequence[Any], account: Account, retries: int, count: int) -> Delivery:
    """One attempt at the chunk, whose message is given out for the `count`-th time."""
    if count > MOST_DELIVERIES:
        detail = f"{MOST_DELIVERIES} workers ended while they had the chunk"
        return Delivery(account + park(parking(), given_up(events, LOST, detail)))
    return deliver(indexer(), parking(), settings(), events, account, retries)


def is_final(task: Task) -> bool:
    """Whether this is the last attempt at the chunk."""
    return bool(task.request.retries >= settings().max_retries)


def send_again(task: Task, successor: Task, *args: Any) -> NoReturn:
    """Sends a later attempt under the same id, so that the chunk's result is that of the last one.

    Celery's own `retry` drops the message where Redis does not take the next one; this keeps it.
    """
    retries = task.request.retries + 1
    signature = successor.signature_from_request(
        task.request, args, {}, countdown=wait_before(retries, settings()), retries=retries
    )
    try:
        signature.apply_async()
    except OperationalError as error:
        raise Reject(str(error), requeue=True) from error
    raise Ignore
