"""Listings over HTTP, alone and while a file is indexed: `python -m bench.ingest --help`.

It uses the Elasticsearch and Redis at ELASTICSEARCH_URL and NITAMONO_REDIS_URL, with its own index and queue,
a Celery worker and the API behind gunicorn. Without the worker, it measures what the API accepts and how long
the look-up of an item takes in a queue of so many messages; with it, a price change until its outcome
(`PATCH …?wait=true`), while the queue is empty and while as many listings with photos wait as backfill.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import redis

from bench.indexing import Event, as_new, events_in, generate, index_of, worker
from bench.served import served
from indexer.intake.submission import Submission, chunked
from indexer.settings import IndexerSettings
from indexer.worker.app import producer
from indexer.worker.bootstrap import build_indexer
from mappings.image_roots import ImageRoots
from queues.lanes import count_queued, lists_of

WATCHED: Final = 40
PATH: Final = "/v1/listings/"


def main() -> None:
    """Print each figure on a line."""
    options = arguments()
    settings = IndexerSettings.from_environ(os.environ)
    prefix = f"bench-{uuid.uuid4().hex[:8]}"
    settings = replace(settings, elasticsearch=replace(settings.elasticsearch, prefix=prefix))
    client = redis.Redis.from_url(settings.redis_url)
    limit = {"NITAMONO_INDEX_PREFIX": prefix, "NITAMONO_QUEUE_LIMIT": "1000000"}
    with tempfile.TemporaryDirectory() as folder:
        events = events_in(generate(Path(folder), options))
        roots = {str(Path(image).parent) for event in events for image in event["images"]}
        settings = replace(settings, roots=ImageRoots(tuple(map(Path, roots))))
        with index_of(build_indexer(settings)), served(limit) as port:
            accepted(port, events, options.requests)
            looked_up(port, client, settings, options.messages)
            client.delete(*lists_of(settings.queue))
            with worker(settings, options.processes):
                fill(settings, events[:WATCHED])
                latencies("PATCH with wait, empty queue", port, events[:WATCHED])
                queued = [event for _ in range(options.copies) for event in as_new(events)]
                submission = Submission(producer(settings), client, settings, wait=False, backlog=10**6)
                for chunk in chunked(queued, settings.batch_size):
                    submission.send(chunk)
                time.sleep(1)
                latencies("PATCH with wait, backfill waits", port, events[:WATCHED])
                left = count_queued(client, settings.queue)
                print(f"messages of backfill left: {left} of {submission.sent // settings.batch_size}")
                client.delete(*lists_of(settings.queue))


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--count", type=int, default=600, help="listings of the generated marketplace")
    parser.add_argument("--copies", type=int, default=20, help="how often they are queued as backfill")
    parser.add_argument("--requests", type=int, default=2000, help="PUT requests")
    parser.add_argument("--messages", type=int, default=5000, help="in the queue at a look-up")
    parser.add_argument("--processes", type=int, default=1, help="of the worker")
    parser.add_argument("--photo-size", type=int, default=224, help="side of a generated photo in pixels")
    return parser.parse_args()


def accepted(port: int, events: Sequence[Event], requests: int) -> None:
    """Measure single listings and batches that the API accepts, from four clients."""
    bodies = [json.dumps(events[number % len(events)]) for number in range(requests)]
    items = [events[number % len(events)]["item_id"] for number in range(requests)]

    def put(part: Sequence[tuple[str, str]]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        for item, body in part:
            sent(connection, "PUT", f"{PATH}{item}", body)

    pairs = list(zip(items, bodies, strict=True))
    show_rate("PUT, four clients", requests, lambda: in_four(put, pairs))
    lines = ["\n".join(part) for part in chunked(bodies, 500)]

    def batch(part: Sequence[str]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        for body in part:
            sent(connection, "POST", "/v1/listings:batch", body, "application/x-ndjson")

    show_rate("batches of 500 lines, four clients", requests, lambda: in_four(batch, lines))


def looked_up(port: int, client: redis.Redis, settings: IndexerSettings, messages: int) -> None:
    """Measure the status of an item that is nowhere in the queue."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    while (queued := count_queued(client, settings.queue)) < messages:
        body = json.dumps({"price": queued, "updated_at": datetime.now(UTC).isoformat()})
        sent(connection, "PATCH", f"{PATH}x{queued}", body)
    times = [timed(lambda: sent(connection, "GET", f"{PATH}none/indexing")) for _ in range(5)]
    print(f"status of an item, {queued:,} messages wait: median {statistics.median(times) * 1000:.0f} ms")


def latencies(name: str, port: int, events: Sequence[Event]) -> None:
    """Measure price changes until their outcome."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    times = []
    for number, event in enumerate(events):
        body = json.dumps({"price": 1000 + number})
        path = f"{PATH}{event['item_id']}?wait=true"
        times.append(timed(partial(sent, connection, "PATCH", path, body)))
        time.sleep(0.2)
    low, high = statistics.median(times), sorted(times)[int(0.95 * len(times))]
    print(f"{name}: median {low * 1000:.0f} ms, 95th percentile {high * 1000:.0f} ms")


def fill(settings: IndexerSettings, events: Sequence[Event]) -> None:
    """Index the listings whose prices change."""
    submission = Submission(producer(settings), redis.Redis.from_url(settings.redis_url), settings)
    submission.send(list(events))
    submission.finish()


def sent(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: str | None = None,
    content_type: str = "application/json",
) -> Any:
    """Return the answer to a request; end the run if it is no success."""
    connection.request(method, path, body, {"Content-Type": content_type} if body else {})
    answer = connection.getresponse()
    text = answer.read()
    if answer.status >= 300:
        raise SystemExit(f"{method} {path}: {answer.status} {text.decode()[:300]}")
    return json.loads(text)


def in_four(work: Callable[[Sequence[Any]], None], entries: Sequence[Any]) -> None:
    """Divide the entries among four threads."""
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, (entries[number::4] for number in range(4))))


def show_rate(name: str, count: int, work: Callable[[], None]) -> None:
    """Print how many listings a second were accepted."""
    print(f"{name}: {count / timed(work):,.0f} listings/s")


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that it takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
