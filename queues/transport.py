"""A kombu transport that validates each message, bounds how many a worker holds, and loses none.

Celery uses it through the setting `broker_transport`. Decision 144 has the reasons.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Final

import redis
from kombu.serialization import register
from kombu.transport import redis as kombu_redis
from kombu.transport import virtual

from queues.lanes import BACKFILL, LIVE, list_of, queue_and_priority
from queues.messages import PLAIN_JSON, MessageRefused, Tasks, parse_message
from queues.metrics import REFUSED_MESSAGES
from queues.refused_messages import RefusedMessages
from queues.taking import Taking, list_and_message
from telemetry.logs import line

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

    def take(self, raw: bytes, key: str, delivery_tag: str) -> bytes | None:
        """Return the canonical form of a message from a list; None if it was refused and stored as such.

        delivery_tag: that under which it is among the unacknowledged messages.

        Raises:
            RedisError: it could not be stored as refused.
        """
        _, priority = queue_and_priority(key)
        try:
            call = parse_message(raw, self._tasks, longest_wait=self._longest_wait, priority=priority)
            return call.to_bytes(self.queue, delivery_tag)
        except MessageRefused as refusal:
            self.refused.keep(raw, refusal, delivery_tag)
            REFUSED_MESSAGES.add(self.queue, refusal.reason)
            log.warning(line("message_refused", reason=refusal.reason, detail=refusal.detail[:300]))
            return None

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
    """A client that takes only messages which a worker can process, none of which leaves Redis meanwhile."""

    def __init__(self, *args: Any, intake: Intake, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._intake = intake
        self.taking = Taking(intake.queue)
        self._asked: str | None = None

    def ask_for_message(self, connection: Any) -> None:
        """Send the next request for a message. kombu reads its reply as that of BRPOP."""
        command = self.taking.request()
        self._asked = command[0]
        connection.send_command(*command)

    def parse_response(self, connection: Any, command_name: str, **options: Any) -> Any:
        """Return the reply; to a request for a message that of BRPOP, as if a refused one were none."""
        if command_name != "BRPOP" or self._asked is None:
            return super().parse_response(connection, command_name, **options)
        asked, self._asked = self._asked, None
        taken = self.taking.reply(super().parse_response(connection, asked, **options))
        if taken is None:
            return None
        key, raw, delivery_tag = taken
        message = self._intake.take(raw, key, delivery_tag)
        if message is None:
            self.taking.settled()
            return None
        return [key.encode(), message]


class CheckedQoS(kombu_redis.QoS):
    """The unacknowledged messages of a worker: limited in number, and restored to its one queue."""

    def append(self, message: Any, delivery_tag: str) -> None:
        """Note a message, which is among the unacknowledged ones in Redis since it was taken."""
        if self.channel.takes:
            virtual.QoS.append(self, message, delivery_tag)
        else:
            super().append(message, delivery_tag)

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
                key, message = list_and_message_in(stored, self.channel.intake.queue)
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

    @property
    def takes(self) -> bool:
        """Whether it reads the queue of a worker. Replies to `celery inspect` have a queue of their own."""
        return set(self.active_queues) == {self.intake.queue}

    def _get_client(self) -> Any:
        return partial(CheckedClient, intake=self.intake)

    def _brpop_start(self, timeout: float | None = None) -> None:
        if not self.takes:
            super()._brpop_start(timeout)
            return
        taking = self.client.taking
        if taking.outstanding is not None:  # the connection broke before it was seen, or it was not stored
            self.qos.restore_by_tag(taking.outstanding)
            taking.settled()
            taking.broken()
        self._in_poll = self.client.connection
        self._brpop_sent_at = time.monotonic()  # type: ignore[assignment]  # kombu has no types
        self.client.ask_for_message(self.client.connection)

    def _brpop_read(self, **options: Any) -> Any:
        found = super()._brpop_read(**options)
        self.client.taking.settled()
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
    log.warning(line("control_message_ignored", detail=f"{type(error).__name__}: {error}"[:300]))
    return True


def list_and_message_in(stored: bytes, queue: str) -> tuple[str, bytes]:
    """Return the list that an unacknowledged message goes back to, and the message.

    One that kombu has stored is `[message, exchange, routing key]`; an entry of another form goes to the live
    list as it is.
    """
    if taken := list_and_message(queue, stored):
        return taken
    try:
        message, _, _ = json.loads(stored)
        raw = json.dumps(message).encode()
    except (ValueError, TypeError, RecursionError):
        return list_of(queue), stored
    return list_of(queue, _priority_of(message)), raw


def _priority_of(message: Any) -> int:
    try:
        return int(message["properties"]["priority"])
    except (ValueError, TypeError, LookupError):
        return LIVE
