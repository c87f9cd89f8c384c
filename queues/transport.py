"""A kombu transport that validates each message, bounds how many a worker holds, and loses none.

Celery uses it through the setting `broker_transport`. Decision 144 has the reasons.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Final

import redis
from kombu.serialization import register
from kombu.transport import redis as kombu_redis

from queues.lanes import BACKFILL, LIVE, list_of, queue_and_priority
from queues.messages import PLAIN_JSON, MessageRefused, Tasks, parse_message
from queues.refused_messages import RefusedMessages

log = logging.getLogger(__name__)

register("plain-json", json.dumps, json.loads, content_type=PLAIN_JSON)

MOST_HELD: Final = 256
"""The most messages that one worker holds, those that wait for a retry included. A chunk of 64 listings
takes 0.2 MB in its main process (decision 144)."""

UNREADABLE: Final = (AttributeError, LookupError, TypeError, ValueError, RecursionError)
"""The errors that kombu raises for a control message of another shape or with too many levels."""


@dataclass(frozen=True)
class Replayed:
    """The outcome of replaying refused messages."""

    sent: int
    kept: int

    def sentences(self, command: str) -> Iterator[str]:
        """Yield a sentence for each count above 0; `command` is the group that lists and drops messages."""
        if self.sent:
            yield f"Refused messages put back on the queue: {self.sent:,}."
        if self.kept:
            yield (
                f"Messages that would be refused again: {self.kept:,}. "
                f"`{command} list` shows the reasons, `{command} drop` removes them."
            )


class Intake:
    """The check between a queue and the main process of its worker."""

    def __init__(self, queue: str, tasks: Tasks, refused: RefusedMessages, longest_wait_s: float) -> None:
        self.queue = queue
        self.refused = refused
        self._tasks = tasks
        self._longest_wait = timedelta(seconds=longest_wait_s)
        self._unstored: tuple[str, bytes] | None = None

    def take(self, raw: bytes, key: str) -> bytes | None:
        """Return the canonical form of a message from a list; None if it was refused and stored as such.

        Raises:
            RedisError: it could not be stored. `return_to_queue` returns it to the queue.
        """
        self._unstored = (key, raw)
        _, priority = queue_and_priority(key)
        try:
            call = parse_message(raw, self._tasks, longest_wait=self._longest_wait, priority=priority)
            return call.to_bytes(self.queue)
        except MessageRefused as refusal:
            self.refused.keep(raw, refusal)
            self.delivered()
            log.warning("message_refused reason=%s detail=%r", refusal.reason, refusal.detail[:300])
            return None

    def delivered(self) -> None:
        """Note that the message is stored: as unacknowledged or as refused."""
        self._unstored = None

    def return_to_queue(self, client: redis.Redis) -> None:
        """Return a message to the queue that was taken but not stored before the connection broke."""
        if self._unstored is not None:
            key, raw = self._unstored
            client.rpush(key, raw)
            self.delivered()

    def replay(self, reason: str | None = None) -> Replayed:
        """Put refused messages back on the queue, as backfill, except those that would be refused again."""
        sent = kept = 0
        for message in self.refused.search(reason):
            try:
                call = parse_message(
                    message.raw,
                    self._tasks,
                    longest_wait=self._longest_wait,
                    priority=BACKFILL,
                    replayed=True,
                )
            except MessageRefused:
                kept += 1
                continue
            self.refused.client.lpush(call.list_in(self.queue), call.to_bytes(self.queue))
            self.refused.release([message.id])
            sent += 1
        return Replayed(sent, kept)


class CheckedClient(redis.Redis):
    """A client whose blocking pops return only messages that a worker can process."""

    def __init__(self, *args: Any, intake: Intake, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._intake = intake

    def parse_response(self, connection: Any, command_name: str, **options: Any) -> Any:
        """Return the reply; for a pop of a message that is refused, the reply of an empty queue."""
        reply = super().parse_response(connection, command_name, **options)
        if command_name != "BRPOP" or not reply:
            return reply
        key, raw = reply
        if queue_and_priority(key.decode())[0] != self._intake.queue:
            return reply  # replies to `celery inspect` have a queue of their own
        message = self._intake.take(raw, key.decode())
        return None if message is None else [key, message]


class CheckedQoS(kombu_redis.QoS):
    """The unacknowledged messages of a worker: limited in number, and restored to its one queue."""

    def can_consume(self) -> bool:
        """Return whether there is room for one more.

        Celery raises the prefetch count by one for each message that waits for its time, without limit. Its
        own setting, `worker_eta_task_limit`, caps the raising but not the lowering: once it was reached, the
        count stays too low and processes idle.
        """
        held = len(self._delivered) - len(self._dirty)
        return held < MOST_HELD and bool(super().can_consume())

    def restore_by_tag(self, tag: str, client: Any = None, leftmost: bool = False) -> None:
        """Put an unacknowledged message back, even if it is invalid: it is refused then.

        kombu drops a message that it cannot route, and a value that is no JSON ends the worker.
        """

        def restore(pipe: Any) -> None:
            stored = pipe.hget(self.unacked_key, tag)
            pipe.multi()
            self._remove_from_indices(tag, pipe)
            if stored is not None:
                message, priority = _message_in(stored)
                key = list_of(self.channel.intake.queue, priority)
                (pipe.lpush if leftmost else pipe.rpush)(key, message)

        with self.channel.conn_or_acquire(client) as connected:
            connected.transaction(restore, self.unacked_key)


class CheckedChannel(kombu_redis.Channel):
    """A channel that reads through the intake in its transport options."""

    QoS = CheckedQoS
    intake: Intake
    from_transport_options: tuple[str, ...] = (  # type: ignore[assignment]  # one more
        *kombu_redis.Channel.from_transport_options,
        "intake",
    )

    def _get_client(self) -> Any:
        return partial(CheckedClient, intake=self.intake)

    def _brpop_start(self, timeout: float | None = None) -> None:
        self.intake.return_to_queue(self.client)
        super()._brpop_start(timeout)

    def _brpop_read(self, **options: Any) -> Any:
        found = super()._brpop_read(**options)
        self.intake.delivered()
        return found

    def _receive_one(self, c: Any) -> Any:
        """Deliver a control message (ping, inspect); kombu's reader does not expect deep nesting."""
        try:
            return super()._receive_one(c)
        except RecursionError as error:
            return ignored(error)

    def _deliver_fanout_message(self, message: Any, exchange: str) -> Any:
        """Deliver a control message; one of another shape would end the worker."""
        try:
            self.message_to_python(message)
        except UNREADABLE as error:
            return ignored(error)
        return super()._deliver_fanout_message(message, exchange)


class Transport(kombu_redis.Transport):
    """Redis, with checked channels."""

    Channel = CheckedChannel


def ignored(error: Exception) -> bool:
    """Log that a control message is ignored, and return True, which tells kombu that it was delivered."""
    log.warning("control_message_ignored detail=%r", f"{type(error).__name__}: {error}"[:300])
    return True


def _message_in(stored: bytes) -> tuple[bytes, int]:
    """Return the message in kombu's `[message, exchange, routing key]` and its priority; an entry of another
    form as it is, as a live one."""
    try:
        message, _, _ = json.loads(stored)
        return json.dumps(message).encode(), int(message["properties"]["priority"])
    except (ValueError, TypeError, LookupError, RecursionError):
        return stored, LIVE
