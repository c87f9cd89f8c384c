"""After killed workers, restarts of Redis and outages of Elasticsearch every event is in the index."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from click.testing import CliRunner
from elasticsearch import Elasticsearch

from cli import main
from indexer.intake.submission import Submission, chunked, read_results
from indexer.worker.bootstrap import build_parking
from mappings.client import ElasticsearchSettings, connect
from queues.deliveries import Deliveries
from queues.lanes import count_queued
from queues.messages import TaskMessage
from queues.refused_messages import RefusedMessages
from queues.transport import MOST_HELD
from tests import photo_server
from tests.conftest import RunningService, WorkerFactory
from tests.indexing import GREEN, Shop, photo_bytes, store_other_golden_vectors, submission
from tests.photo_server import PhotoServer
from tests.waiting import wait_until

COUNT = 48
CHUNK = 8
VISIBILITY_S = 8

# Short, so that a test sees redelivery; the limits inside a worker follow from it.
# Waits follow too, so there are more of them: Elasticsearch takes a minute to start on a busy machine.
SHORT = {
    "NITAMONO_VISIBILITY_TIMEOUT_S": str(VISIBILITY_S),
    "NITAMONO_INDEXING_MAX_RETRIES": "90",
    "ELASTICSEARCH_MAX_RETRIES": "0",
    "NITAMONO_FETCH_ALLOWED_HOSTS": "127.0.0.1",
}


@pytest.fixture
def server() -> Iterator[PhotoServer]:
    """A photo server that takes a third of a second for a photo, so that a batch can be interrupted."""
    with photo_server.photo_server() as running:
        yield running


@pytest.fixture
def shop(es: Elasticsearch, index_prefix: str, tmp_path: Path) -> Shop:
    """An empty index on the session's Elasticsearch."""
    return Shop.open(es, index_prefix, tmp_path)


def slow_events(shop: Shop, server: PhotoServer, count: int = COUNT) -> list[dict[str, Any]]:
    """Events whose photos are on the slow server, each changed once: the first price must not stay."""
    slow = photo_server.after(0.3, photo_server.serve(photo_bytes(GREEN)))
    images = {f"m{n}": [server.url(f"/{n}.png", slow)] for n in range(count // 2)}
    before = [shop.event(i, images=images[i], price=1, updated_at="2026-01-01T00:00:00Z") for i in images]
    after = [shop.event(i, images=images[i], price=2, updated_at="2026-01-02T00:00:00Z") for i in images]
    return [event for pair in zip(before, after, strict=True) for event in pair]


def send(queue: Submission, events: list[dict[str, Any]]) -> None:
    """Put the events into the queue in small chunks."""
    for chunk in chunked(events, CHUNK):
        queue.send(chunk)


def check_nothing_lost(shop: Shop, queue: Submission, events: list[dict[str, Any]]) -> None:
    """Every event has its outcome, every item its newest state, and no message is left."""
    summary = queue.finish()
    assert summary.total == len(events)
    assert summary.rejected == {}
    check_newest(shop, queue, events)


def check_newest(shop: Shop, queue: Submission, events: list[dict[str, Any]]) -> None:
    """Every item is in its newest state, with its vector, and no message is left."""
    documents = shop.documents()
    assert {item_id: document["price"] for item_id, document in documents.items()} == {
        event["item_id"]: 2 for event in events
    }
    assert all("vector" in document for document in documents.values())
    wait_until(lambda: not queue.client.hlen(queue.settings.unacked_key), "every message acknowledged")
    assert count_queued(queue.client, queue.settings.queue) == 0


def test_a_killed_process_returns_its_batch(
    shop: Shop, server: PhotoServer, worker: WorkerFactory, elasticsearch_url: str, redis_url: str
) -> None:
    """The worker notices and puts the chunk back at once."""
    environ = shop.environ(elasticsearch_url, redis_url, **SHORT)
    running = worker(**environ)
    queue, events = submission(environ), slow_events(shop, server)
    send(queue, events)
    wait_until(lambda: len(server.requests) > CHUNK, "a batch is under way")

    (child,) = psutil.Process(running.pid).children()
    child.send_signal(signal.SIGKILL)

    check_nothing_lost(shop, queue, events)


def test_messages_that_a_killed_process_had_gathered_are_processed(
    shop: Shop, server: PhotoServer, worker: WorkerFactory, elasticsearch_url: str, redis_url: str
) -> None:
    """Twice in a row; each message has its own result."""
    environ = shop.environ(elasticsearch_url, redis_url, NITAMONO_BATCH_SIZE="12", **SHORT)
    running = worker(**environ)
    queue, events = submission(environ), slow_events(shop, server)
    for event in events:
        queue.send([event])

    def gathered() -> set[bytes]:
        return set(queue.client.scan_iter(f"{queue.settings.queue}:gathered:*"))

    for count in (1, 2):
        wait_until(lambda least=count: len(gathered()) >= least, "other messages are gathered")
        (child,) = psutil.Process(running.pid).children()
        child.send_signal(signal.SIGKILL)

    check_nothing_lost(shop, queue, events)
    assert gathered() == set()


def test_a_killed_worker_s_batch_goes_to_another_one(
    shop: Shop, server: PhotoServer, worker: WorkerFactory, elasticsearch_url: str, redis_url: str
) -> None:
    """After the visibility timeout."""
    environ = shop.environ(elasticsearch_url, redis_url, **SHORT)
    running = worker(**environ)
    queue, events = submission(environ), slow_events(shop, server)
    send(queue, events)
    wait_until(lambda: len(server.requests) > CHUNK, "a batch is under way")

    running.kill()
    assert queue.client.hlen(queue.settings.unacked_key) > 0
    worker(**environ)

    check_nothing_lost(shop, queue, events)


def test_a_terminated_worker_finishes_its_chunk_and_returns_the_others(
    shop: Shop, server: PhotoServer, worker: WorkerFactory, elasticsearch_url: str, redis_url: str
) -> None:
    """At SIGTERM during a chunk, while others wait for a retry: all continue at the next start."""
    environ = shop.environ(elasticsearch_url, redis_url, NITAMONO_BATCH_SIZE=str(CHUNK), **SHORT)
    running = worker(**environ)
    queue, events = submission(environ), slow_events(shop, server)
    unavailable = server.url("/away.png", photo_server.serve(b"", 503))
    waiting = [shop.event(f"w{n}", images=[unavailable], price=2) for n in range(4)]
    send(queue, waiting)
    send(queue, events)
    wait_until(lambda: len(server.requests) > CHUNK, "a batch is under way")

    running.stop()
    assert queue.client.hlen(queue.settings.unacked_key) == 0
    worker(**environ)

    summary = queue.finish()
    assert summary.total == len(events) + len(waiting)
    assert summary.without_vector == {"photo_unavailable": len(waiting)}
    assert len(shop.documents()) == len(events) // 2 + len(waiting)


@pytest.mark.parametrize("end", ["stop", pytest.param("kill", marks=pytest.mark.soak)])
def test_redis_restarts_under_an_idle_and_a_busy_worker(
    shop: Shop,
    server: PhotoServer,
    worker: WorkerFactory,
    own_redis: RunningService,
    elasticsearch_url: str,
    end: str,
) -> None:
    """Work continues in the same process, and nothing is sent again."""
    environ = shop.environ(elasticsearch_url, own_redis.url, **SHORT)
    running = worker(**environ)
    pid = running.pid
    getattr(own_redis, end)()
    time.sleep(1.0)
    own_redis.start()

    queue, events = submission(environ), slow_events(shop, server)
    for chunk in chunked(events, CHUNK):
        queue.producer.send_task("indexer.index_listings", args=[chunk])
    wait_until(lambda: len(server.requests) > CHUNK, "a batch is under way")
    getattr(own_redis, end)()
    time.sleep(1.0)
    own_redis.start()

    wait_until(lambda: len(shop.documents()) == COUNT // 2, "every listing is indexed", 60)
    wait_until(
        lambda: (
            not queue.client.hlen(queue.settings.unacked_key)
            and not count_queued(queue.client, queue.settings.queue)
        ),
        "no message is left",
        60,
    )
    check_newest(shop, queue, events)
    assert running.pid == pid


def test_a_full_redis_stops_nothing_permanently(
    shop: Shop, worker: WorkerFactory, own_redis: RunningService, elasticsearch_url: str
) -> None:
    """Redis refuses every write for some seconds; then work continues in the same process."""
    environ = shop.environ(elasticsearch_url, own_redis.url, **SHORT)
    running = worker(**environ)
    pid = running.pid
    queue = submission(environ)
    queue.client.config_set("maxmemory-policy", "noeviction")
    with queue.client.pipeline() as together:  # so that no message is taken before Redis is full
        together.multi()
        for number in range(20):
            task = TaskMessage("indexer.index_listings", [[shop.event(f"m{number}", images=[])]], {})
            together.lpush(queue.settings.queue, task.to_bytes(queue.settings.queue))
        together.lpush(queue.settings.queue, b"no message")
        together.config_set("maxmemory", 1)
        together.execute()
    time.sleep(3.0)
    assert shop.documents() == {}
    queue.client.config_set("maxmemory", 0)

    wait_until(lambda: len(shop.documents()) == 20, "every listing is indexed", 60)
    refused = RefusedMessages(queue.client, queue.settings.queue)
    wait_until(lambda: [message.raw for message in refused.search()] == [b"no message"], "it is kept")
    assert running.pid == pid


@pytest.mark.parametrize("end", [pytest.param("stop", marks=pytest.mark.soak), "kill"])
def test_redis_restarts_under_a_running_command(
    shop: Shop,
    server: PhotoServer,
    worker: WorkerFactory,
    own_redis: RunningService,
    elasticsearch_url: str,
    tmp_path: Path,
    end: str,
) -> None:
    """`nitamono index --wait` and the worker ride it out, and the summary adds up."""
    environ = shop.environ(elasticsearch_url, own_redis.url, **SHORT)
    worker(**environ)
    events = slow_events(shop, server)
    file = tmp_path / "listings.jsonl"
    file.write_text("".join(json.dumps(event) + "\n" for event in events))
    with nitamono(environ, "index", str(file), "--wait", "--json", "--batch-size", str(CHUNK)) as command:
        wait_until(lambda: len(server.requests) > CHUNK, "a batch is under way")
        getattr(own_redis, end)()
        time.sleep(1.0)
        own_redis.start()
        out, err = command.communicate(timeout=90)

    assert command.returncode == 0, err
    summary = json.loads(out)
    assert summary["total"] == COUNT
    assert summary["rejected"] == {}
    check_newest(shop, submission(environ), events)


def nitamono(environ: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    """The command, as a person starts it."""
    command = [str(Path(sys.executable).with_name("nitamono")), *arguments]
    return subprocess.Popen(
        command, env=os.environ | environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_elasticsearch_is_away_for_a_minute(
    own_elasticsearch: RunningService,
    tmp_path: Path,
    server: PhotoServer,
    worker: WorkerFactory,
    redis_url: str,
) -> None:
    """Chunks are retried until it is back."""
    with connect(ElasticsearchSettings(urls=(own_elasticsearch.url,), timeout_s=5)) as es:
        shop = Shop.open(es, "outage", tmp_path / "shop")
        environ = shop.environ(own_elasticsearch.url, redis_url, **SHORT)
        worker(**environ)
        queue, events = submission(environ), slow_events(shop, server)
        send(queue, events)
        wait_until(lambda: len(server.requests) > CHUNK, "a batch is under way")
        own_elasticsearch.stop()
        time.sleep(60)
        own_elasticsearch.start()

        check_nothing_lost(shop, queue, events)


@pytest.mark.soak
def test_waiting_chunks_are_bounded(
    shop: Shop, worker: WorkerFactory, elasticsearch_url: str, redis_url: str
) -> None:
    """A worker holds a limited number; the others stay in the queue."""
    environ = shop.environ(elasticsearch_url, redis_url)
    queue = submission(environ)
    sent = [
        queue.producer.send_task("indexer.index_listings", args=[[]], countdown=40).id
        for _ in range(MOST_HELD + 60)
    ]
    worker(processes=2, **environ)
    wait_until(lambda: held(queue) == MOST_HELD, "as many as may be are held")
    time.sleep(1.0)
    assert held(queue) == MOST_HELD

    wait_until(lambda: len(read_results(queue.client, sent)) == len(sent), "every chunk is done", 120)


def held(queue: Submission) -> int:
    """Messages that workers hold."""
    return int(queue.client.hlen(queue.settings.unacked_key))


def test_events_that_outlast_every_retry_are_parked_and_replayed(
    shop: Shop,
    worker: WorkerFactory,
    elasticsearch_url: str,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Elasticsearch is unreachable, later it is back."""
    away = shop.environ("http://127.0.0.1:9", redis_url, NITAMONO_INDEXING_MAX_RETRIES="0")
    first = worker(**away)
    queue, events = submission(away), [shop.event(f"m{n}") for n in range(10)]
    queue.send(events)
    assert queue.finish().rejected == {"elasticsearch_unavailable": 10}
    first.stop()

    environ = shop.set_environ(monkeypatch, elasticsearch_url, redis_url)
    worker(**environ)
    command = CliRunner()
    listed = command.invoke(main, ["indexer", "dead-letters", "list", "--json"], catch_exceptions=False)
    assert {json.loads(line)["item_id"] for line in listed.stdout.splitlines()} == {
        f"m{n}" for n in range(10)
    }

    replayed = command.invoke(main, ["indexer", "dead-letters", "replay", "--all"], catch_exceptions=False)
    assert "10 listings: 10 indexed" in replayed.stdout
    assert len(shop.documents()) == 10
    again = command.invoke(main, ["indexer", "dead-letters", "list"], catch_exceptions=False)
    assert again.stdout == "No dead letters.\n"


def test_a_message_that_ends_each_of_its_workers_is_parked(
    shop: Shop, worker: WorkerFactory, elasticsearch_url: str, redis_url: str
) -> None:
    """Such as a photo that crashes a decoder: after five deliveries it is not delivered again."""
    environ = shop.environ(elasticsearch_url, redis_url)
    queue, events = submission(environ), [shop.event()]
    parking = build_parking(queue.settings)
    deliveries = Deliveries(queue.client, queue.settings.queue)
    for _ in range(5):
        deliveries.begin("poison:0")
    queue.producer.send_task("indexer.index_listings", [events], task_id="poison")
    queue.pending["poison"] = events
    worker(**environ)

    assert queue.finish().rejected == {"worker_lost": 1}
    assert [parked.event for parked in parking.search("worker_lost")] == events
    assert shop.documents() == {}


def test_a_worker_refuses_an_index_of_another_encoder(
    shop: Shop, tmp_path: Path, elasticsearch_url: str, redis_url: str
) -> None:
    """It exits at once and names both."""
    other = Shop.open(shop.es, f"{shop.settings.prefix}-other", tmp_path / "other", name="other")
    environ = shop.environ(elasticsearch_url, redis_url, NITAMONO_ENCODER_DIR=str(other.settings.encoder))
    done = refused_worker(environ)

    assert done.returncode == 1
    assert shop.encoder.encoder_id in done.stderr
    assert other.encoder.encoder_id in done.stderr


def test_a_worker_refuses_an_encoder_that_fails_here(
    shop: Shop, elasticsearch_url: str, redis_url: str
) -> None:
    """It exits before it takes a message, with one sentence that has the figures."""
    store_other_golden_vectors(shop.settings.encoder)
    done = refused_worker(shop.environ(elasticsearch_url, redis_url))

    assert done.returncode == 1
    assert "The indexer cannot start: " in done.stderr
    assert "onnxruntime computes image.onnx wrongly in f32" in done.stderr


def refused_worker(environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "celery", "-A", "indexer.worker.app", "worker", "--concurrency", "1"],
        env=os.environ | environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
