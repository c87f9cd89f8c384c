"""Messages of a request, queued together with the job and the answer that belong to them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import redis
from redis.client import Pipeline

from queues.listings.jobs import JobPart, Jobs
from queues.listings.names import INDEX_TASK
from queues.listings.outcomes import ToldOutcome
from queues.messages import TaskMessage

EVENTS_IN_A_MESSAGE: Final = 64

ANSWERS_EXPIRE_S: Final = 86_400
"""For how long a repeated request gets the answer of the first."""


@dataclass(frozen=True)
class NewJob:
    """A job to create with its messages."""

    id: str
    created_at: str
    item_ids: Sequence[str | None]
    rejected: Mapping[int, ToldOutcome] = field(default_factory=dict)


@dataclass(frozen=True)
class KeptAnswer:
    """The answer to a request, kept under the key that its sender chose for it."""

    key: str
    fingerprint: str
    """That of the request: another one with the same key is a mistake."""
    body: Mapping[str, Any]


@dataclass(frozen=True)
class ListingSender:
    """Sends listing events as live messages whose results nobody reads."""

    client: redis.Redis
    queue: str

    @property
    def jobs(self) -> Jobs:
        """The jobs of the queue."""
        return Jobs(self.client, self.queue)

    def kept(self, key: str) -> KeptAnswer | None:
        """Return the answer that is kept under a key, if any.

        Raises:
            RedisError: Redis does not answer.
        """
        return _kept(key, self.client.get(self._answer_key(key)))

    def send(
        self, events: Mapping[int, Any], job: NewJob | None = None, answer: KeptAnswer | None = None
    ) -> KeptAnswer | None:
        """Queue the events, create the job and keep the answer: all or none.

        events: by position in the job.

        Returns:
            The answer that is kept under the key already, if any: then nothing is queued.

        Raises:
            RedisError: Redis does not answer.
        """
        key = self._answer_key(answer.key) if answer else None

        found: list[KeptAnswer] = []

        def queue(pipe: Pipeline) -> None:  # called again if another request stores an answer meanwhile
            found[:] = filter(None, [_kept(answer.key, pipe.get(key)) if answer and key else None])
            pipe.multi()
            if found:
                return
            self._queue(pipe, events, job)
            if answer and key:
                kept = {"fingerprint": answer.fingerprint, "body": answer.body}
                pipe.set(key, json.dumps(kept), ex=ANSWERS_EXPIRE_S)

        self.client.transaction(queue, *([key] if key else []))
        return found[0] if found else None

    def _queue(self, pipe: Pipeline, events: Mapping[int, Any], job: NewJob | None) -> None:
        positions = list(events)
        if job:
            self.jobs.create(pipe, job.id, job.created_at, job.item_ids, job.rejected)
        for start in range(0, len(positions), EVENTS_IN_A_MESSAGE):
            part = positions[start : start + EVENTS_IN_A_MESSAGE]
            of_job = {"job": JobPart(id=job.id, positions=tuple(part)).to_json()} if job else {}
            arguments = [[events[position] for position in part]]
            message = TaskMessage(INDEX_TASK, arguments, of_job, wants_result=False)
            pipe.lpush(message.list_in(self.queue), message.to_bytes(self.queue))

    def _answer_key(self, key: str) -> str:
        return f"{self.queue}:answer:{key}"


def _kept(key: str, stored: Any) -> KeptAnswer | None:
    return None if stored is None else KeptAnswer(key, **json.loads(stored))
