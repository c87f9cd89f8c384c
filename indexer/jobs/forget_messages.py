"""Forgetting of events outside the indices of listings: queued, parked, refused, and dead letters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final, cast

import redis

from indexer.jobs.forget_subject import Subject
from indexer.summary import IndexingSummary
from indexer.worker.arguments import IndexArguments, RemoveArguments
from indexer.worker.pipeline.dead_letters import DeadLetter, DeadLetters
from queues.lanes import lists_of, queue_and_priority
from queues.listings.names import gathered_key
from queues.messages import MessageRefused, TaskMessage, bind, parse_message
from queues.parking import ParkedEvent, ParkingLot
from queues.refused_messages import RefusedMessage, RefusedMessages, store_outcome, success
from queues.work_queue import WorkQueue

AT_ONCE: Final = 100
"""Messages of the queue that are read in one round trip."""
LONGEST_WAIT: Final = timedelta(days=365)
"""Whatever a message waits for, the queue has it."""

_REPLACE: Final = """
if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then return 0 end
if ARGV[2] ~= '' then redis.call('RPUSH', KEYS[1], ARGV[2]) end
return 1
"""
"""Replace a message of the list KEYS[1], or delete it, unless a worker has taken it meanwhile."""


@dataclass(frozen=True)
class ForgottenLetters:
    """The dead letters of a subject."""

    letters: DeadLetters
    name: str = "dead_letters"

    def forget(self, subject: Subject) -> int:
        """Delete them, and return how many there were."""
        found = list(self._of(subject))
        self.letters.delete(found)
        return len(found)

    def remaining(self, subject: Subject) -> int:
        """Return how many there are."""
        return sum(1 for _ in self._of(subject))

    def _of(self, subject: Subject) -> Iterator[DeadLetter]:
        for letter in self.letters.search():
            if letter.item_id in subject.item_ids or subject.is_in(letter.event) or subject.is_in(letter.raw):
                yield letter


@dataclass(frozen=True)
class ForgottenParked:
    """The parked events of a subject."""

    parking: ParkingLot
    name: str = "parked_events"

    def forget(self, subject: Subject) -> int:
        """Delete them, and return how many there were."""
        found = [parked.id for parked in self._of(subject)]
        self.parking.release(found)
        return len(found)

    def remaining(self, subject: Subject) -> int:
        """Return how many there are."""
        return sum(1 for _ in self._of(subject))

    def _of(self, subject: Subject) -> Iterator[ParkedEvent]:
        return (parked for parked in self.parking.search() if subject.is_in(parked.event))


@dataclass(frozen=True)
class ForgottenRefused:
    """The refused messages that name a subject. Each is deleted as a whole: no part of it can be trusted."""

    refused: RefusedMessages
    name: str = "refused_messages"

    def forget(self, subject: Subject) -> int:
        """Delete them, and return how many there were."""
        return self.refused.release([message.id for message in self._of(subject)])

    def remaining(self, subject: Subject) -> int:
        """Return how many there are."""
        return sum(1 for _ in self._of(subject))

    def _of(self, subject: Subject) -> Iterator[RefusedMessage]:
        return (message for message in self.refused.search() if subject.is_named_in(message.text))


@dataclass(frozen=True)
class ForgottenQueued:
    """The events of a subject in messages that no worker has taken yet."""

    queue: WorkQueue
    name: str = "queued_events"

    def forget(self, subject: Subject) -> int:
        """Take the events out of their messages, and return how many there were."""
        return sum(
            self._replaced(key, raw, subject)
            for key in self._lists()
            for raw in [raw for raw, _ in self._of(key, subject)]
        )

    def remaining(self, subject: Subject) -> int:
        """Return how many there are."""
        return sum(count for key in self._lists() for _, count in self._of(key, subject))

    def _of(self, key: str, subject: Subject) -> Iterator[tuple[bytes, int]]:
        """Yield the messages of a list with an event of the subject, each with the number of these."""
        for raw in self._messages(key):
            count, _ = self._without(key, raw, subject)
            if count:
                yield raw, count

    def _lists(self) -> Iterator[str]:
        """Yield the keys of the lists of the queue, and of what tasks have gathered."""
        yield from lists_of(self.queue.name)
        for key in self.queue.client.scan_iter(match=gathered_key(self.queue.name, "*")):
            yield cast("bytes", key).decode()

    def _messages(self, key: str) -> Iterator[bytes]:
        # New messages come in at the left and leave at the right, so that counting from the left misses none.
        start = 0
        while part := cast("list[bytes]", self.queue.client.lrange(key, start, start + AT_ONCE - 1)):
            yield from part
            start += len(part)

    def _replaced(self, key: str, raw: bytes, subject: Subject) -> int:
        count, rest = self._without(key, raw, subject)
        new = rest.to_bytes(self.queue.name) if rest else b""
        if not self.queue.client.eval(_REPLACE, 1, key, raw, new):
            return 0
        message = self._parsed(key, raw)
        if rest is None and message is not None and message.wants_result:
            store_outcome(self.queue.client, success(message.id, IndexingSummary().to_json()))
        return count

    def _without(self, key: str, raw: bytes, subject: Subject) -> tuple[int, TaskMessage | None]:
        """Return how many events of the subject a message has, and the message without them."""
        message = self._parsed(key, raw)
        if message is None:
            return int(subject.is_named_in(_text_of(raw))), None
        found: Any = bind(self.queue.tasks[message.task], message.args, message.kwargs)
        if isinstance(found, IndexArguments):
            gone = [place for place, event in enumerate(found.events) if subject.is_in(event)]
            is_empty = len(gone) == len(found.events)
            return len(gone), None if is_empty else replace(message, args=_arguments(found, gone), kwargs={})
        if isinstance(found, RemoveArguments):
            ids = [item_id for item_id in found.item_ids if str(item_id) not in subject.item_ids]
            arguments = [ids, found.model_dump(mode="json")["at"]]
            return len(found.item_ids) - len(ids), replace(
                message, args=arguments, kwargs={}
            ) if ids else None
        return 0, message

    def _parsed(self, key: str, raw: bytes) -> TaskMessage | None:
        _, priority = queue_and_priority(key)
        try:
            return parse_message(raw, self.queue.tasks, longest_wait=LONGEST_WAIT, priority=priority)
        except MessageRefused:
            return None


@dataclass(frozen=True)
class HeldByWorkers:
    """The messages of a subject that workers hold. They end with their tasks, within the visibility timeout
    or, if they wait for another attempt, after their last one."""

    client: redis.Redis
    unacked_key: str
    name: str = "held_by_workers"

    def forget(self, subject: Subject) -> int:
        """Do nothing: the worker has the message in its memory."""
        del subject
        return 0

    def remaining(self, subject: Subject) -> int:
        """Return how many messages there are."""
        held = self.client.hscan_iter(self.unacked_key, count=AT_ONCE)
        return sum(subject.is_named_in(_text_of(value)) for _, value in held)


def _text_of(stored: bytes) -> str:
    return RefusedMessage("", stored, "", "", "").text


def _arguments(found: IndexArguments, gone: Sequence[int]) -> list[Any]:
    """Return the arguments without the events at these places."""
    events = [event for place, event in enumerate(found.events) if place not in gone]
    job = found.job and found.job.without(gone)
    return [events, found.summary and found.summary.to_json(), job and job.to_json()]
