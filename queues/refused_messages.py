"""Messages that no worker can process, stored in Redis until an operator replays or drops them."""

from __future__ import annotations

import base64
import json
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import redis
from celery.states import FAILURE, SUCCESS

from mappings.listing import isoformat
from mappings.problems import shortened
from queues.lanes import unacked_index_key, unacked_key
from queues.messages import MessageRefused, TaskMessage, task_id_in
from queues.names import refused_key

RESULT_KEY: Final = "celery-task-meta-"
"""The prefix of the keys of Celery's Redis backend, before a task's id."""

RESULT_EXPIRES_S: Final = 3600
"""Long enough for a command with --wait, short enough not to fill Redis."""


def failure(task_id: str, reason: str, detail: str) -> dict[str, Any]:
    """Return the result that Celery stores for a task that raised `MessageRefused`."""
    error = {
        "exc_type": MessageRefused.__name__,
        "exc_message": [reason, detail],
        "exc_module": MessageRefused.__module__,
    }
    return _outcome(task_id, FAILURE, error)


def success(task_id: str, result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the result that Celery stores for a task that returned `result`."""
    return _outcome(task_id, SUCCESS, result) | {"date_done": isoformat(datetime.now(UTC))}


def _outcome(task_id: str, status: str, result: Mapping[str, Any]) -> dict[str, Any]:
    return {"task_id": task_id, "status": status, "result": result, "traceback": None, "children": []}


def store_outcome(client: redis.Redis, outcome: Mapping[str, Any]) -> None:
    """Store a `success` or `failure` where Celery's backend would, and announce it as that does, for whoever
    waits for the task: `AsyncResult.get` reads no stored result once it listens."""
    key, value = f"{RESULT_KEY}{outcome['task_id']}", json.dumps(outcome)
    client.set(key, value, ex=RESULT_EXPIRES_S)
    client.publish(key, value)


@dataclass(frozen=True)
class RefusedMessage:
    """A message with the reason for its refusal."""

    id: str
    raw: bytes
    """As it was pushed."""
    reason: str
    detail: str
    failed_at: str

    @property
    def text(self) -> str:
        """The message and its body, decoded from base64, as far as they are text."""
        body = re.search(rb'"body"\s*:\s*"([A-Za-z0-9+/=]*)"', self.raw)
        try:
            decoded = base64.b64decode(body[1]) if body else b""
        except ValueError:
            decoded = b""
        return "\n".join(part.decode(errors="replace") for part in (self.raw, decoded))

    def to_json(self) -> dict[str, Any]:
        """Return the message as commands list it: its bytes as text, or in base64 if they are not text."""
        try:
            content = {"raw": self.raw.decode("utf-8")}
        except UnicodeDecodeError:
            content = {"raw_base64": base64.b64encode(self.raw).decode()}
        return {
            "id": self.id,
            "reason": self.reason,
            "detail": self.detail,
            **content,
            "failed_at": self.failed_at,
        }


@dataclass(frozen=True)
class RefusedMessages:
    """A Redis hash. Each value is a line of JSON followed by the message's bytes."""

    client: redis.Redis
    queue: str

    @property
    def key(self) -> str:
        """The Redis key of the hash."""
        return refused_key(self.queue)

    def keep(self, raw: bytes, refusal: MessageRefused, delivery_tag: str | None = None) -> None:
        """Store the message, and a failure as the result of its task, for commands that wait for it.

        delivery_tag: that under which a worker has it; it is acknowledged at once.

        Raises:
            RedisError: Redis does not answer.
        """
        facts = {
            "reason": refusal.reason,
            "detail": shortened(refusal.detail),
            "failed_at": isoformat(datetime.now(UTC)),
        }
        task_id = task_id_in(raw)
        with self.client.pipeline() as pipe:
            pipe.hset(self.key, f"message:{uuid.uuid4().hex}", json.dumps(facts).encode() + b"\n" + raw)
            if task_id is not None:
                store_outcome(pipe, failure(task_id, refusal.reason, facts["detail"]))
            if delivery_tag is not None:
                pipe.hdel(unacked_key(self.queue), delivery_tag)
                pipe.zrem(unacked_index_key(self.queue), delivery_tag)
            pipe.execute()

    def keep_call(self, call: TaskMessage, refusal: MessageRefused) -> None:
        """Store a call that came over no queue, or whose events cannot be stored by themselves.

        Raises:
            RedisError: Redis does not answer.
        """
        self.keep(call.to_bytes(self.queue), refusal)

    def search(self, reason: str | None = None) -> Iterator[RefusedMessage]:
        """Yield the messages, oldest first; only those of a reason, if given."""
        times: list[tuple[str, bytes]] = []
        for key, value in self.client.hscan_iter(self.key, count=100):
            facts = json.loads(value.partition(b"\n")[0])
            if reason in {None, facts["reason"]}:
                times.append((facts["failed_at"], key))
        for _, key in sorted(times):
            kept: Any = self.client.hget(self.key, key)  # its stubs say str
            if kept is not None:  # else replayed or dropped in the meantime
                head, _, raw = kept.partition(b"\n")
                yield RefusedMessage(id=key.decode(), raw=raw, **json.loads(head))

    def expire(self, before: datetime) -> int:
        """Delete the messages that were refused before a moment, and return how many there were."""
        limit = isoformat(before)
        return self.release([message.id for message in self.search() if message.failed_at < limit])

    def release(self, ids: Sequence[str]) -> int:
        """Delete messages by id and return how many there were."""
        return int(self.client.hdel(self.key, *ids)) if ids else 0
