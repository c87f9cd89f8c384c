"""Live events are processed before backfill, whatever waits."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis
from elasticsearch import Elasticsearch

from indexer.intake.submission import read_results
from queues.lanes import BACKFILL, LIVE, count_queued, list_of, unacked_key
from queues.listings.names import INDEX_TASK
from queues.messages import TaskMessage
from tests.conftest import WorkerFactory
from tests.indexing import Shop, submission
from tests.waiting import wait_until

BACKLOG = 5_000


@pytest.fixture
def shop(es: Elasticsearch, index_prefix: str, tmp_path: Path) -> Shop:
    """An empty index."""
    return Shop.open(es, index_prefix, tmp_path)


def push(client: redis.Redis, queue: str, *messages: TaskMessage) -> None:
    """Put messages at the end of their lists."""
    with client.pipeline() as pipe:
        for message in messages:
            pipe.lpush(message.list_in(queue), message.to_bytes(queue))
        pipe.execute()


def test_a_live_event_overtakes_thousands_of_backfill(
    shop: Shop, worker: WorkerFactory, elasticsearch_url: str, redis_url: str
) -> None:
    """It is indexed while most of the backlog waits, and a retry stays in the list of its priority."""
    client = redis.Redis.from_url(redis_url)
    queue = shop.settings.queue
    backlog = [
        # A second attempt is not gathered, so this is as slow as a backlog can be.
        TaskMessage(INDEX_TASK, [[shop.event(f"b{n}", images=[])]], {}, f"b{n}", 1, priority=BACKFILL)
        for n in range(BACKLOG)
    ]
    push(client, queue, *backlog)
    worker(**shop.environ(elasticsearch_url, redis_url))
    wait_until(lambda: count_queued(client, queue) < BACKLOG - 10, "the worker is at the backlog")
    push(client, queue, TaskMessage(INDEX_TASK, [[shop.event("live", images=[])]], {}, "live"))
    wait_until(lambda: bool(read_results(client, ["live"])), "the live event has a result")
    assert client.llen(list_of(queue, BACKFILL)) > BACKLOG / 2
    assert client.llen(list_of(queue, LIVE)) == 0
    client.delete(list_of(queue, BACKFILL))
    wait_until(lambda: not client.hlen(unacked_key(queue)), "the worker is done")


def test_files_are_backfill(shop: Shop, elasticsearch_url: str, redis_url: str) -> None:
    """A submission uses the list that workers take from last."""
    client = redis.Redis.from_url(redis_url)
    submission(shop.environ(elasticsearch_url, redis_url)).send([shop.event("a")])
    assert [client.llen(list_of(shop.settings.queue, each)) for each in (LIVE, BACKFILL)] == [0, 1]
