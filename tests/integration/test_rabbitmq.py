"""Messages that come by RabbitMQ, with the forwarder as a process, on real services."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from celery import Celery
from elasticsearch import Elasticsearch
from kombu import Connection

from indexer.settings import IndexerSettings
from indexer.worker.bootstrap import work_queue
from queues.work_queue import WorkQueue
from tests.conftest import RunningService, WorkerFactory, skip_or_fail
from tests.indexing import Shop
from tests.rabbitmq_server import SERVER, RabbitServer, rabbitmq_server


@pytest.fixture(scope="module")
def rabbitmq() -> Iterator[RabbitServer]:
    """A RabbitMQ."""
    if not SERVER.exists():
        skip_or_fail("RabbitMQ cannot be had: install rabbitmq-server")
    with rabbitmq_server() as server:
        yield server


@contextmanager
def forwarder(environ: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A process that moves messages; SIGTERM ends it."""
    with subprocess.Popen(
        [sys.executable, "-c", "import cli; cli.main()", "indexer", "forward"],
        env=os.environ | environ,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=60)
            assert process.returncode == 0, said
            assert "guest:guest" not in said


def wait_until(is_true: Callable[[], object]) -> None:
    """Return once `is_true()`."""
    deadline = time.monotonic() + 60
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture
def shop(es: Elasticsearch, index_prefix: str, tmp_path: Path) -> Shop:
    """A shop."""
    return Shop.open(es, index_prefix, tmp_path)


@pytest.fixture
def environ(shop: Shop, elasticsearch_url: str, redis_url: str, rabbitmq: RabbitServer) -> dict[str, str]:
    """The environment of worker and forwarder."""
    return shop.environ(elasticsearch_url, redis_url, NITAMONO_BROKER_URL=rabbitmq.url)


@pytest.fixture
def queue(environ: dict[str, str]) -> WorkQueue:
    """The shop's queue."""
    return work_queue(IndexerSettings.from_environ(environ))


def producer(rabbitmq: RabbitServer, queue: WorkQueue) -> Celery:
    """A producer with Celery that sends to RabbitMQ, and asks Redis for results."""
    app = Celery("shop", broker=rabbitmq.url, backend=queue.redis_url, set_as_current=False)
    app.conf.task_default_queue = queue.name
    return app


def test_messages_of_rabbitmq_are_indexed_and_the_others_refused(
    shop: Shop, environ: dict[str, str], rabbitmq: RabbitServer, queue: WorkQueue, worker: WorkerFactory
) -> None:
    """With results, and with the reason of what no worker can process."""
    worker(**environ)
    sender = producer(rabbitmq, queue)
    results = [sender.send_task("indexer.index_listings", args=[[shop.event(f"m{n}")]]) for n in range(5)]
    with Connection(rabbitmq.url) as connection:
        bare = connection.SimpleQueue(queue.name)
        bare.put({"hello": "there"}, headers={"task": "indexer.index_listings", "id": "x"})
        bare.put(b"\xff\x00", content_type="application/data", content_encoding="binary")
        headers = {"task": "indexer.index_listings", "id": "y"}
        bare.put([[[shop.event("m9")]], {}, {}], headers=headers)
        bare.close()

    with forwarder(environ):
        assert [result.get(timeout=60)["indexed"] for result in results] == [1] * 5
        wait_until(lambda: "m9" in shop.documents())
        wait_until(lambda: len(list(queue.refused.search())) == 2)
    assert {message.reason for message in queue.refused.search()} == {"message_malformed"}
    assert any(b"hello" in message.text.encode() for message in queue.refused.search())


@pytest.mark.soak  # RabbitMQ takes long to start
def test_no_message_is_lost_when_a_server_restarts(
    shop: Shop, environ: dict[str, str], rabbitmq: RabbitServer, own_redis: RunningService
) -> None:
    """Neither when RabbitMQ does, nor Redis: what Redis has not accepted stays in RabbitMQ."""
    environ = environ | {"NITAMONO_REDIS_URL": own_redis.url}
    queue = work_queue(IndexerSettings.from_environ(environ))
    sender = producer(rabbitmq, queue)

    def send(number: int) -> None:
        sender.send_task("indexer.index_listings", args=[[shop.event(f"m{number}")]], ignore_result=True)

    def items() -> set[str]:
        try:
            waiting = queue.client.lrange(queue.name, 0, -1)
        except redis.RedisError:
            return set()
        bodies = [json.loads(message)["headers"]["id"] for message in waiting]
        return set(bodies)

    with forwarder(environ):
        send(0)
        wait_until(lambda: len(items()) == 1)
        rabbitmq.stop()
        rabbitmq.start()
        own_redis.kill()
        send(1)
        time.sleep(1)
        own_redis.start()
        send(2)
        wait_until(lambda: len(items()) == 3)
