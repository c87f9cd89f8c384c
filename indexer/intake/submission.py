"""Events to the queue in chunks, and, for whoever waits, from the queue to their summary."""

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

from indexer.settings import IndexerSettings
from indexer.summary import IndexingSummary
from indexer.worker.arguments import INDEX_TASK
from queues.messages import MessageRefused
from queues.refused_messages import RESULT_KEY
from queues.task import TASK_FAILED

MOST_BYTES = 16 * 2**20
"""The JSON of a chunk. A worker refuses messages of four times as much, and base64 adds a third."""

POLL_S = 0.1
PATIENCE_S = 120.0
"""How long a Redis that is away is waited for."""
LOST_AFTER_S = 5.0
"""How long nothing may be queued, nothing be in a worker's hands, and a result still be missing."""
MOST_SENDINGS = 4
"""How often a chunk is sent. Restarts of Redis that lose it time and again are less likely than a fault."""

T = TypeVar("T")


class QueueUnavailable(Exception):
    """Redis does not answer for longer than a restart takes."""


class ResultMissing(Exception):
    """A chunk was sent several times, left the queue each time, and has no result."""


def chunked(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items in lists of `size`, the last one perhaps shorter."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def split(events: Iterable[Any], most_bytes: int = MOST_BYTES) -> Iterator[list[Any]]:
    """The events in lists of at most so many bytes of JSON; a larger event is in a list by itself."""
    part: list[Any] = []
    size = 0
    for event in events:
        length = len(dumps(event))  # type: ignore[no-untyped-call]  # kombu has no types
        if part and size + length > most_bytes:
            yield part
            part, size = [], 0
        part.append(event)
        size += length
    if part:
        yield part


@dataclass
class Submission:
    """Sends chunks of events and adds up their summaries.

    With `wait`, at most `window` messages are under way at once, and one that got lost with a restart of
    Redis is sent again, which is harmless. Without, at most `backlog` messages are left in the queue.
    """

    producer: Celery
    client: redis.Redis
    settings: IndexerSettings
    wait: bool = True
    task: str = INDEX_TASK
    window: int = 64
    backlog: int = 1000
    progress: Callable[[int], object] = lambda _: None
    summary: IndexingSummary = field(default_factory=IndexingSummary)
    pending: dict[str, Sequence[Any]] = field(default_factory=dict)
    _idle_since: float | None = None
    sent: int = 0
    """Events put into the queue."""
    _chunks: int = 0
    _sendings: Counter[str] = field(default_factory=Counter)

    def send(self, events: Sequence[Any]) -> None:
        """Puts a chunk into the queue, once there is room; one of large events in several messages.

        Raises:
            QueueUnavailable: Redis stays away.
            ResultMissing: an earlier chunk has no result and is nowhere.
        """
        for part in split(events):
            self._send(part)

    def _send(self, events: Sequence[Any]) -> None:
        if self.wait:
            while len(self.pending) >= self.window:
                self._collect()
        elif self._chunks % 20 == 0:  # asking each time would double the requests
            while self._queued() > self.backlog:
                time.sleep(POLL_S)
        self._publish(str(uuid.uuid4()), events)
        self._chunks += 1
        self.sent += len(events)
        if not self.wait:
            self.progress(len(events))

    def finish(self) -> IndexingSummary:
        """The summary of all that was sent, once all of it is settled.

        Raises:
            QueueUnavailable: Redis stays away.
            ResultMissing: a chunk has no result and is nowhere.
        """
        while self.pending:
            self._collect()
        return self.summary

    def _publish(self, task_id: str, events: Sequence[Any]) -> None:
        patiently(lambda: self.producer.send_task(self.task, args=[events], task_id=task_id))
        if self.wait:
            self.pending[task_id] = events
            self._sendings[task_id] += 1

    def _collect(self) -> None:
        """Takes the results that are there; waits a moment where there are none."""
        results = patiently(lambda: read_results(self.client, list(self.pending)))
        for task_id, result in results.items():
            events = self.pending.pop(task_id)
            del self._sendings[task_id]
            self.summary += summary_of(result, len(events))
            self.progress(len(events))
        if results:
            self._idle_since = None
        elif patiently(self._is_lost):
            self._send_again()
        else:
            time.sleep(POLL_S)

    def _send_again(self) -> None:
        for task_id, events in self.pending.items():
            if self._sendings[task_id] >= MOST_SENDINGS:
                waiting = sum(map(len, self.pending.values()))
                raise ResultMissing(
                    f"{waiting:,} listings have no result although they were sent {MOST_SENDINGS} times "
                    f"(task {task_id}); the log of the worker shows why. Run the command again once that is "
                    "mended: sending a listing twice is harmless"
                )
            self._publish(task_id, events)

    def _queued(self) -> int:
        return int(patiently(lambda: self.client.llen(self.settings.queue)))

    def _is_lost(self) -> bool:
        """Whether the pending chunks are neither queued nor in a worker's hands, for some seconds."""
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
    """The results that are there, by task, as Celery's Redis backend stores them.

    Celery's own AsyncResult subscribes to a channel for each task, and breaks for good when Redis restarts.
    """
    stored = client.mget([f"{RESULT_KEY}{task_id}" for task_id in task_ids])
    found = {
        task_id: json.loads(value)
        for task_id, value in zip(task_ids, stored, strict=True)
        if value is not None
    }
    return {task_id: result for task_id, result in found.items() if is_final(result)}


def is_final(result: Mapping[str, Any]) -> bool:
    """Whether no other result follows. After a time limit one does: the message goes back to the queue."""
    if result["status"] == SUCCESS:
        return True
    return result["status"] in READY_STATES and result["result"].get("exc_type") != "TimeLimitExceeded"


def summary_of(result: Mapping[str, Any], events: int) -> IndexingSummary:
    """The summary in a result. Where the task broke, or no worker could take its message, that of its events,
    all rejected for that reason."""
    if result["status"] == SUCCESS:
        return IndexingSummary.from_json(result["result"])
    error = result["result"]
    refused = error.get("exc_type") == MessageRefused.__name__
    return IndexingSummary(rejected={error["exc_message"][0] if refused else TASK_FAILED: events})


def patiently(call: Callable[[], T]) -> T:
    """What the call returns, tried again while Redis is away.

    Raises:
        QueueUnavailable: it is away for too long.
    """
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            return call()
        except (redis.ConnectionError, redis.TimeoutError, OperationalError) as error:
            if time.monotonic() > end:
                raise QueueUnavailable(
                    f"Redis does not answer ({error}); start it with `make up` or set NITAMONO_REDIS_URL"
                ) from error
        time.sleep(1.0)
