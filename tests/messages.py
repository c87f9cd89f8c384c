"""Messages as Celery sends them, and everything else that somebody may push to a queue."""

from __future__ import annotations

import base64
import copy
import json
import random
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any, cast

from queues.messages import TaskMessage, parse_message
from queues.work_queue import WorkQueue

Json = Any

ODD: Sequence[Json] = (
    None, True, 0, -1, 1.5, 10**30, "", "x", "é\ud800", "2020-01-01T00:00:00Z", "9999-12-31T00:00:00Z",
    [], {}, [[]], [None], {"a": 1}, {"__type__": "datetime", "__value__": 5}, [["a", "b"], {}, {}],
)  # fmt: skip

NO_MESSAGES: Sequence[bytes] = (
    b"", b"hello", b"5", b"null", b"[]", b"{}", b"true", b"\xff\xfe\x00", b"[" * 10_000, b'{"a":' * 5_000,
    b'{"body": "", "properties": {}}', b"\x80\x04K\x05.", "日本".encode("utf-16"), b"9" * 5_000,
)  # fmt: skip


def make_envelope(task: str, body: Json) -> dict[str, Any]:
    """A message of protocol 2, as Celery 5.6 puts it into Redis."""
    task_id = str(uuid.uuid4())
    headers = {
        "lang": "py",
        "task": task,
        "id": task_id,
        "shadow": None,
        "eta": None,
        "expires": None,
        "group": None,
        "group_index": None,
        "retries": 0,
        "timelimit": [None, None],
        "root_id": task_id,
        "parent_id": None,
        "argsrepr": "()",
        "kwargsrepr": "{}",
        "origin": "gen1@host",
        "ignore_result": False,
        "replaced_task_nesting": 0,
        "stamped_headers": None,
        "stamps": {},
    }
    properties = {
        "correlation_id": task_id,
        "reply_to": str(uuid.uuid4()),
        "delivery_mode": 2,
        "delivery_info": {"exchange": "", "routing_key": "q"},
        "priority": 0,
        "body_encoding": "base64",
        "delivery_tag": str(uuid.uuid4()),
    }
    return {
        "body": base64.b64encode(json.dumps(body).encode()).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": headers,
        "properties": properties,
    }


def call(*args: Json, **kwargs: Json) -> Json:
    """The body of a message that calls a task."""
    return [list(args), kwargs, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]


def mutated(rng: random.Random, task: str, entry: Callable[[int], Json], count: int) -> Iterator[bytes]:
    """`count` messages: valid ones with an entry of their own, changed ones, and other bytes."""
    for number in range(count):
        body = call([entry(number)])
        kind = rng.randrange(6)
        if kind == 0:
            yield _dumped(make_envelope(task, body))
        elif kind == 1:
            yield _dumped(_changed(rng, make_envelope(task, body)))
        elif kind == 2:
            yield _dumped(make_envelope(task, _changed(rng, body)))
        elif kind == 3:
            yield _damaged(rng, _dumped(make_envelope(task, body)))
        elif kind == 4:
            yield rng.choice(NO_MESSAGES)
        else:
            yield rng.randbytes(rng.randrange(200))


def _changed(rng: random.Random, document: Json) -> Json:
    """The document with one to three of its values removed or replaced by odd ones."""
    document = copy.deepcopy(document)
    for _ in range(rng.randint(1, 3)):
        parent, key = rng.choice([*_places(document)])
        if rng.random() < 0.3:
            del parent[key]
        else:
            parent[key] = copy.deepcopy(rng.choice(ODD))
        if not document:
            break
    return document


def _places(node: Json) -> Iterator[tuple[Json, Any]]:
    keys = range(len(node)) if isinstance(node, list) else list(node)
    for key in keys:
        yield node, key
        if isinstance(node[key], list | dict):
            yield from _places(node[key])


def _damaged(rng: random.Random, raw: bytes) -> bytes:
    """The bytes, cut, or with some of them overwritten, left out or repeated."""
    start = rng.randrange(len(raw))
    end = min(len(raw), start + rng.randint(1, 20))
    middles = [b"", rng.randbytes(end - start), raw[start:end] * 2]
    return raw[:start] if rng.random() < 0.2 else raw[:start] + rng.choice(middles) + raw[end:]


def _dumped(envelope: Json) -> bytes:
    return json.dumps(envelope).encode()


def live_messages(queue: WorkQueue) -> list[TaskMessage]:
    """The live messages of a queue in the order in which they were sent."""
    longest = timedelta(seconds=queue.visibility_timeout_s)
    raws = reversed(cast("list[bytes]", queue.client.lrange(queue.name, 0, -1)))
    return [parse_message(raw, queue.tasks, longest_wait=longest) for raw in raws]


def events_in(queue: WorkQueue) -> list[Any]:
    """The events of all live messages."""
    return [event for message in live_messages(queue) for event in message.args[0]]
