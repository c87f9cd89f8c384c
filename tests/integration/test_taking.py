"""A message that a worker takes is in Redis at every moment."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from kombu import Connection, Consumer, Queue

from indexer.settings import IndexerSettings
from indexer.worker.bootstrap import work_queue
from mappings.client import ElasticsearchSettings
from queues import celery_app
from queues.lanes import BACKFILL, LIVE, list_of, unacked_key
from queues.listings.names import INDEX_TASK
from queues.messages import TaskMessage
from queues.transport import CheckedClient, Intake
from queues.work_queue import WorkQueue

TRANSPORT = "queues.transport:Transport"

DIES = f"""
import os, signal
from kombu import Connection, Consumer, Queue
from indexer.settings import IndexerSettings
from indexer.worker.bootstrap import work_queue
from queues import celery_app
from queues.transport import Intake

Intake.take = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
queue = work_queue(IndexerSettings.from_environ(os.environ))
options = celery_app.configuration(queue)["broker_transport_options"]
with Connection(queue.redis_url, transport="{TRANSPORT}", transport_options=options) as connection:
    with Consumer(connection, [Queue(queue.name)], callbacks=[print]):
        connection.drain_events(timeout=10)
"""
"""A worker that is killed when Redis has just given it a message."""


@pytest.fixture
def queue(redis_url: str) -> WorkQueue:
    """A queue of listings whose messages are given to another worker at once."""
    settings = IndexerSettings(ElasticsearchSettings(prefix="taking"), redis_url=redis_url)
    return replace(work_queue(settings), visibility_timeout_s=0.1)


@contextmanager
def consuming(queue: WorkQueue) -> Iterator[tuple[Connection, list[Any]]]:
    """A worker's connection, and the messages that it gets."""
    options = celery_app.configuration(queue)["broker_transport_options"]
    found: list[Any] = []
    with (
        Connection(queue.redis_url, transport=TRANSPORT, transport_options=options) as connection,
        Consumer(connection, [Queue(queue.name)], on_message=found.append),
    ):
        yield connection, found


def drain(connection: Connection, seconds: float = 5.0) -> None:
    """Wait for one message."""
    connection.drain_events(timeout=seconds)


def push(queue: WorkQueue, task_id: str, priority: int = LIVE) -> bytes:
    """Put a message into the queue and return it."""
    message = TaskMessage(INDEX_TASK, [[{"item_id": task_id}]], {}, task_id, priority=priority)
    queue.client.lpush(message.list_in(queue.name), message.to_bytes(queue.name))
    return message.to_bytes(queue.name)


@pytest.mark.parametrize("priority", [LIVE, BACKFILL])
def test_a_worker_that_is_killed_as_it_takes_a_message_does_not_lose_it(
    queue: WorkQueue, priority: int
) -> None:
    """It is among the unacknowledged ones by then, returns to its list, and another worker gets it."""
    push(queue, "m1", priority)
    environ = {**os.environ, "NITAMONO_INDEX_PREFIX": "taking", "NITAMONO_REDIS_URL": queue.redis_url}
    died = subprocess.run([sys.executable, "-c", DIES], env=environ, check=False, capture_output=True)
    assert died.returncode == -9, died.stderr.decode()
    key = list_of(queue.name, priority)
    assert (queue.client.llen(key), queue.client.hlen(unacked_key(queue.name))) == (0, 1)
    time.sleep(0.2)
    with consuming(queue) as (connection, found):
        connection.default_channel.qos.restore_visible(interval=1)
        assert queue.client.llen(key) == 1
        drain(connection)
    (message,) = found
    assert message.headers["id"] == "m1"


def test_a_message_whose_reply_is_lost_is_taken_again(
    queue: WorkQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection broke after Redis gave it away: the worker knows its tag, and returns it."""
    push(queue, "m1")
    parse = CheckedClient.parse_response
    broken: list[str] = []

    def break_once(self: Any, connection: Any, command: str, **options: Any) -> Any:
        reply = parse(self, connection, command, **options)
        if command == "BRPOP" and reply and not broken:
            broken.append(command)
            raise connection_error
        return reply

    monkeypatch.setattr(CheckedClient, "parse_response", break_once)
    with consuming(queue) as (connection, found):
        (connection_error, *_) = connection.connection_errors
        with pytest.raises(connection_error):
            drain(connection)
        drain(connection)
        assert [message.headers["id"] for message in found] == ["m1"]
        found[0].ack()
        connection.default_channel.qos._flush()
    assert queue.client.hlen(unacked_key(queue.name)) == 0


def test_a_refused_message_is_acknowledged_with_its_storage(queue: WorkQueue) -> None:
    """In one step, so that it is neither lost nor stored twice."""
    queue.client.lpush(queue.name, b"no message")
    push(queue, "m1")
    with consuming(queue) as (connection, found):
        drain(connection)
        assert [message.headers["id"] for message in found] == ["m1"]
        assert queue.client.hlen(unacked_key(queue.name)) == 1
    assert [message.raw for message in queue.refused.search()] == [b"no message"]


def test_an_idle_worker_gets_messages_of_every_list(queue: WorkQueue) -> None:
    """Live ones as they come, others within a quarter of a second, the earliest of a list first."""
    with consuming(queue) as (connection, found):
        with pytest.raises(TimeoutError):
            drain(connection, 0.6)
        push(queue, "late", BACKFILL)
        drain(connection)
        for task_id in ("first", "second"):
            push(queue, task_id)
        drain(connection)
        drain(connection)
    assert [message.headers["id"] for message in found] == ["late", "first", "second"]


def test_the_intake_keeps_the_tag_under_which_a_message_was_taken(queue: WorkQueue) -> None:
    """So its acknowledgement removes it."""
    intake: Intake = queue.intake
    taken = intake.take(push(queue, "m1"), queue.name, "tag")
    assert taken is not None
    assert b'"delivery_tag": "tag"' in taken
