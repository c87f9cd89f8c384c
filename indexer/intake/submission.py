"""Submission of events to the queue in chunks, and collection of their results."""

from __future__ import annotations

import json
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar

import redis
from celery import Celery
from celery.states import READY_STATES, SUCCESS
from kombu.exceptions import OperationalError
from kombu.utils.json import dumps

from console.counts import count_of
from indexer.settings import ProducerSettings
from indexer.summary import IndexingSummary
from mappings.listing import item_id_of
from queues.backoff import retrying
from queues.lanes import BACKFILL, count_queued
from queues.listings.names import INDEX_TASK
from queues.messages import MessageRefused
from queues.refused_messages import RESULT_KEY
from queues.task import TASK_FAILED
from settings.errors import REDIS, UserError, how_to_start

MAX_MESSAGE_BYTES = 16 * 2**20
"""The JSON of a message. Workers refuse messages of four times as much, and base64 adds a third."""

POLL_S = 0.1
REDIS_PATIENCE_S = 120.0
"""The time for which an unavailable Redis is retried."""
REDIS_LONGEST_WAIT_S = 2.0
REDIS_ERRORS = (redis.ConnectionError, redis.TimeoutError, OperationalError)
LOST_AFTER_S = 5.0
"""A message is lost if for this time none is queued, no worker holds one, and its result is missing."""
MAX_ATTEMPTS = 4
"""How often a message is sent. More losses than that are a fault rather than restarts of Redis."""

T = TypeVar("T")


class QueueUnavailable(UserError):
    """Redis does not answer for longer than a restart takes."""


class ResultMissing(UserError):
    """A chunk was sent several times, left the queue each time, and has no result."""


def chunked(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield the items in lists of `size`; the last one may be shorter."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def split(events: Iterable[Any], max_bytes: int = MAX_MESSAGE_BYTES) -> Iterator[list[Any]]:
    """Yield the events in lists of at most `max_bytes` of JSON; a larger event is in a list of its own."""
    part: list[Any] = []
    size = 0
    for event in events:
        length = len(dumps(event))  # type: ignore[no-untyped-call]  # kombu has no types
        if part and size + length > max_bytes:
            yield part
            part, size = [], 0
        part.append(event)
        size += length
    if part:
        yield part


@dataclass
class Submission:
    """Sends chunks of events and adds up the summaries of their results.

    With `wait`, at most `window` messages are pending, and a message that a restart of Redis lost is sent
    again, which is harmless. Without `wait`, at most `backlog` messages are in the queue.
    """

    producer: Celery
    client: redis.Redis
    settings: ProducerSettings
    wait: bool = True
    task: str = INDEX_TASK
    alone: bool = False
    """Whether the worker processes each message by itself: it gathers first attempts only."""
    priority: int = BACKFILL
    """Files and replays wait for live events."""
    window: int = 64
    backlog: int = 1000
    progress: Callable[[int], object] = lambda _: None
    summary: IndexingSummary = field(default_factory=IndexingSummary)
    pending: dict[str, Sequence[Any]] = field(default_factory=dict)
    """The events of messages without a result, by task id."""
    sent: int = 0
    """The number of events in the queue so far."""
    _rows: dict[str, str] = field(default_factory=dict)
    """Item id to its row, of the pending events."""
    _messages: int = 0
    _attempts: Counter[str] = field(default_factory=Counter)
    _idle_since: float | None = None

    def send(self, events: Sequence[Any], rows: Mapping[str, str] | None = None) -> None:
        """Put a chunk into the queue when there is room; large events go in several messages.

        rows: item id to its row in a file, for the examples of the summary.

        Raises:
            QueueUnavailable: Redis does not come back.
            ResultMissing: an earlier message is lost repeatedly.
        """
        for part in split(events):
            self._send(part)
            if self.wait:
                self._rows |= rows or {}

    def _send(self, events: Sequence[Any]) -> None:
        if self.wait:
            while len(self.pending) >= self.window:
                self._collect()
        elif self._messages % 20 == 0:  # a check for each message would double the requests
            while self._queued() > self.backlog:
                time.sleep(POLL_S)
        self._publish(str(uuid.uuid4()), events)
        self._messages += 1
        self.sent += len(events)
        if not self.wait:
            self.progress(len(events))

    def finish(self) -> IndexingSummary:
        """Wait for all results and return their summary.

        Raises:
            QueueUnavailable: Redis does not come back.
            ResultMissing: a message is lost repeatedly.
        """
        while self.pending:
            self._collect()
        return self.summary

    def _publish(self, task_id: str, events: Sequence[Any]) -> None:
        retries = int(self.alone)
        retry_redis(
            lambda: self.producer.send_task(
                self.task, args=[events], task_id=task_id, retries=retries, priority=self.priority
            )
        )
        if self.wait:
            self.pending[task_id] = events
            self._attempts[task_id] += 1

    def _collect(self) -> None:
        """Take the results that are there, or wait briefly if there are none."""
        results = retry_redis(lambda: read_results(self.client, list(self.pending)))
        for task_id, result in results.items():
            events = self.pending.pop(task_id)
            del self._attempts[task_id]
            self.summary += summary_of(result, len(events)).with_rows(self._rows)
            for event in events if self._rows else ():
                self._rows.pop(item_id_of(event) or "", None)
            self.progress(len(events))
        if results:
            self._idle_since = None
        elif retry_redis(self._is_lost):
            self._resend()
        else:
            time.sleep(POLL_S)

    def _resend(self) -> None:
        for task_id, events in self.pending.items():
            if self._attempts[task_id] >= MAX_ATTEMPTS:
                waiting = count_of(sum(map(len, self.pending.values())), "listing")
                raise ResultMissing(
                    f"No result for {waiting} after {MAX_ATTEMPTS} attempts (task {task_id}). See the log of "
                    "the worker, then run the command again: sending a listing twice is harmless."
                )
            self._publish(task_id, events)

    def _queued(self) -> int:
        return retry_redis(lambda: count_queued(self.client, self.settings.queue))

    def _is_lost(self) -> bool:
        """Return whether for LOST_AFTER_S no message is queued and no worker holds one."""
        if self._queued() or self.client.hlen(self.settings.unacked_key):
            self._idle_since = None
            return False
        now = time.monotonic()
        if self._idle_since is None:
            self._idle_since = now
        if now - self._idle_since < LOST_AFTER_S:
            return False
        self._idle_since = None
        return True


def read_results(client: redis.Redis, task_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the final results that exist, by task, as Celery's Redis backend stores them.

    Celery's own AsyncResult subscribes to a channel for each task, and fails for good if Redis restarts.
    """
    stored = client.mget([f"{RESULT_KEY}{task_id}" for task_id in task_ids])
    found = {
        task_id: json.loads(value)
        for task_id, value in zip(task_ids, stored, strict=True)
        if value is not None
    }
    return {task_id: result for task_id, result in found.items() if is_final(result)}


def is_final(result: Mapping[str, Any]) -> bool:
    """Return whether the result is the last one. After a time limit the message goes back to the queue."""
    if result["status"] == SUCCESS:
        return True
    return result["status"] in READY_STATES and result["result"].get("exc_type") != "TimeLimitExceeded"


def summary_of(result: Mapping[str, Any], events: int) -> IndexingSummary:
    """Return the summary in a result. If the task failed or no worker could process its message, all of its
    `events` are rejected for that reason."""
    if result["status"] == SUCCESS:
        return IndexingSummary.from_json(result["result"])
    error = result["result"]
    refused = error.get("exc_type") == MessageRefused.__name__
    return IndexingSummary(rejected={error["exc_message"][0] if refused else TASK_FAILED: events})


def retry_redis(call: Callable[[], T], patience_s: float = REDIS_PATIENCE_S) -> T:
    """Return the result of the call, which is retried while Redis is unavailable.

    Raises:
        QueueUnavailable: it is unavailable for longer than `patience_s` seconds.
    """
    try:
        return retrying(patience_s, REDIS_LONGEST_WAIT_S, errors=REDIS_ERRORS)(call)
    except REDIS_ERRORS as error:
        raise QueueUnavailable(f"Redis does not answer ({error}); {how_to_start(REDIS)}") from error
