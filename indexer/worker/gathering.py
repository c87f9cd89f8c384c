"""Messages of few events, gathered by the task of one of them.

Each message costs a read, a batch of the encoder and a write, however few events it has. So a task with room
takes what else waits in the queue, and all of it is processed as one chunk. Nothing is waited for, so nothing
is delayed (docs/decisions/140-chunked-messages.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

from indexer.worker.arguments import IndexArguments, index_arguments
from indexer.worker.delivery import Delivery
from queues.backoff import wait_before
from queues.lanes import LIVE, list_of
from queues.listings.jobs import JobPart
from queues.listings.names import INDEX_TASK, gathered_key
from queues.messages import MessageRefused, TaskMessage, bind, parse_message
from queues.refused_messages import store_outcome, success
from queues.work_queue import WorkQueue

MOST_BYTES: Final = 64 * 2**10
"""Of a message that is gathered. A longer one has many events, and is a chunk of its own."""

_TAKE: Final = """
if redis.call('EXISTS', KEYS[2]) == 1 then return false end
local taken = {}
while #taken < tonumber(ARGV[1]) do
  local message = redis.call('LINDEX', KEYS[1], -1)
  if not message or #message > tonumber(ARGV[2]) then break end
  redis.call('RPOPLPUSH', KEYS[1], KEYS[2])
  taken[#taken + 1] = message
end
return taken
"""
"""Move up to ARGV[1] messages of at most ARGV[2] bytes from the queue KEYS[1] to the list KEYS[2], at once,
and return them, those that wait longest first; false if the list exists."""


@dataclass(frozen=True)
class Companion:
    """A message that the task of another one processes, with its events and the job that they are part of."""

    message: TaskMessage
    events: Sequence[Any]
    job: JobPart | None


class Gathering:
    """The messages that one task took from the queue. They are kept in a list of Redis until it settles them.

    If its process dies, the task's own message is delivered again, and finds the list: then they go back to
    the queue, to be processed one by one, since one of them may have ended the process.
    """

    def __init__(self, queue: WorkQueue, task_id: str, priority: int = LIVE) -> None:
        """Nothing is sent to Redis yet. Messages are taken from the list of the task's own priority."""
        self._queue = queue
        self._priority = priority
        self._source = list_of(queue.name, priority)
        self._list = self._list_of(task_id)

    @contextmanager
    def companions(self, room: int) -> Iterator[list[Companion]]:
        """Yield messages of at most `room` events in all. If the block fails, they go back to the queue.

        Raises:
            RedisError: the next delivery of the task finds them in the list.
        """
        companions = self._take(room) if room > 0 else []
        try:
            yield companions
        except Exception:
            if companions:
                self._release()
            raise

    def settle(
        self, companions: Sequence[Companion], deliveries: Sequence[Delivery], longest_wait_s: float
    ) -> None:
        """Store the result of each message, or send the next attempt at what remains of it; all or none."""
        if not companions:
            return
        with self._queue.client.pipeline() as pipe:
            for companion, delivery in zip(companions, deliveries, strict=True):
                if delivery.remaining:
                    again = next_attempt(companion, delivery, longest_wait_s)
                    pipe.lpush(self._source, again.to_bytes(self._queue.name))
                elif companion.message.wants_result:
                    store_outcome(pipe, success(companion.message.id, delivery.summary.to_json()))
            pipe.delete(self._list)
            pipe.execute()

    def _take(self, room: int) -> list[Companion]:
        taken = self._queue.client.eval(_TAKE, 2, self._source, self._list, room, MOST_BYTES)
        if taken is None:
            self._release()
            return []
        found = {raw: companion for raw in taken if (companion := self._companion(raw))}
        leading = self._leading([companion.message.id for companion in found.values()])
        companions, others = [], []
        for raw in taken:
            companion = found.get(raw)
            if companion is None or companion.message.id in leading or len(companion.events) > room:
                others.append(raw)
            else:
                companions.append(companion)
                room -= len(companion.events)
        self._give_back(others)
        return companions

    def _leading(self, task_ids: Sequence[str]) -> set[str]:
        """Those tasks that have a list of their own: each must run, to return what its dead process had."""
        with self._queue.client.pipeline(transaction=False) as pipe:
            for task_id in task_ids:
                pipe.exists(self._list_of(task_id))
            return {task_id for task_id, exists in zip(task_ids, pipe.execute(), strict=True) if exists}

    def _list_of(self, task_id: str) -> str:
        return gathered_key(self._queue.name, task_id)

    def _companion(self, raw: bytes) -> Companion | None:
        """The message, if it is a first attempt at indexing events that need not wait."""
        message = self._parsed(raw)
        if message is None or message.task != INDEX_TASK or message.retries or message.eta:
            return None
        arguments = bind(IndexArguments, message.args, message.kwargs)
        if not isinstance(arguments, IndexArguments):
            return None
        return Companion(message, arguments.events, arguments.job)

    def _parsed(self, raw: bytes) -> TaskMessage | None:
        longest_wait = timedelta(seconds=self._queue.visibility_timeout_s)
        try:
            return parse_message(raw, self._queue.tasks, longest_wait=longest_wait, priority=self._priority)
        except MessageRefused:  # so it will be when the worker takes it from the queue
            return None

    def _give_back(self, messages: Sequence[bytes]) -> None:
        """Put messages back to where they were in the queue."""
        if not messages:
            return
        with self._queue.client.pipeline() as pipe:
            for raw in reversed(messages):
                pipe.lrem(self._list, 1, raw)  # type: ignore[arg-type]  # redis-py takes bytes, too
                pipe.rpush(self._source, raw)
            pipe.execute()

    def _release(self) -> None:
        """Put all messages of the list back as second attempts, which are not gathered."""
        name = self._queue.name
        stored = cast("list[bytes]", self._queue.client.lrange(self._list, 0, -1))
        messages = [(raw, self._parsed(raw)) for raw in stored]
        again = [replace(each, retries=1).to_bytes(name) if each else raw for raw, each in messages]
        with self._queue.client.pipeline() as pipe:
            if again:
                pipe.rpush(self._source, *again)
            pipe.delete(self._list)
            pipe.execute()


def next_attempt(companion: Companion, delivery: Delivery, longest_wait_s: float) -> TaskMessage:
    """The message of the second attempt at the events that remain of a message."""
    eta = datetime.now(UTC) + timedelta(seconds=wait_before(1, longest_wait_s))
    arguments = index_arguments(delivery, delivery.summary, companion.job)
    return replace(companion.message, args=arguments, kwargs={}, retries=1, eta=eta)
