"""Freshness through the queue, with and without the answer cache: `python -m bench.freshness --help`.

It uses the Elasticsearch and Redis at ELASTICSEARCH_URL and NITAMONO_REDIS_URL, with its own index and queue,
a Celery worker and the API behind gunicorn. Events are sent one a message, at a fixed rate whatever comes
back (open loop): one in five lists a new item, the others sell one. Of both, some are watched over HTTP:

- listed → searchable: until the new item is in the uncached answer of an item with the same photo;
- sold → gone: until an answer that showed it, and was stored, no longer does.

The times are from sending the message; polling adds up to `--poll-ms`. `stale` counts the answers that began
later than 1.2 s after the sale and showed the item. Polls take CPU from what they measure: with ten times as
many, two cores answer nothing else.
"""

from __future__ import annotations

import argparse
import http.client
import json
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import numpy as np
import redis

from bench.indexing import Event, events_in, generate, index_of, own_settings, with_photos, worker
from bench.served import SIZE, served
from indexer.intake.submission import Submission, chunked
from indexer.settings import IndexerSettings
from indexer.worker.app import producer
from indexer.worker.bootstrap import build_indexer
from query.search.result_policy import NO_RULES
from queues.listings.names import INDEX_TASK

ALLOWED_S = 1.2
WATCHED_S = 3.0
"""How long a sold item is watched."""


@dataclass
class Row:
    """The times of one run in seconds: 50th and 95th percentile, maximum."""

    cache: str
    searchable_s: list[float]
    gone_s: list[float]
    stale: int
    watched: tuple[int, int]
    """New items and sales."""
    hit_ms: list[float] = field(default_factory=list)
    miss_ms: list[float] = field(default_factory=list)


@dataclass
class Watch:
    """What is measured during a run, by several threads."""

    port: int
    poll_s: float
    searchable: list[float] = field(default_factory=list)
    gone: list[float] = field(default_factory=list)
    stale: int = 0

    def listed(self, item_id: str, twin: str) -> None:
        """Poll until the item is in the uncached answer of its twin."""
        sent = time.monotonic()
        while time.monotonic() - sent < 60:
            if item_id in answer(self.port, twin, explain="true")[0]:
                self.searchable.append(time.monotonic() - sent)
                return
            time.sleep(self.poll_s)
        self.searchable.append(60.0)

    def sold(self, item_id: str, asker: str) -> None:
        """Poll an answer that showed the item."""
        sent, gone = time.monotonic(), None
        while (asked := time.monotonic()) - sent < WATCHED_S or gone is None:
            shown = item_id in answer(self.port, asker)[0]
            gone = gone if shown else gone or time.monotonic() - sent
            self.stale += shown and asked - sent > ALLOWED_S
            if asked - sent > 60:
                break
            time.sleep(self.poll_s)
        self.gone.append(gone or 60.0)


def main() -> None:
    """Print a table of both runs, then the same as JSON."""
    options = arguments()
    settings = own_settings()
    with tempfile.TemporaryDirectory() as folder:
        events = events_in(options.listings or generate(Path(folder), options))[: options.count]
        settings = with_photos(settings, events)
        with index_of(build_indexer(settings)), worker(settings, options.processes):
            fill(settings, events)
            parts = np.array_split(np.random.default_rng(1).permutation(len(events)), 2)
            rows = [
                measure(settings, events, part.tolist(), options, cache=cache)
                for part, cache in zip(parts, (True, False), strict=True)
            ]
    print_rows(rows)
    print(json.dumps([asdict(row) for row in rows]))


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--count", type=int, default=3000, help="listings in the index")
    parser.add_argument("--rate", type=float, default=50, help="events a second")
    parser.add_argument("--seconds", type=float, default=60, help="length of each run")
    parser.add_argument("--watch-every", type=float, default=2.0, help="seconds between two watched events")
    parser.add_argument("--processes", type=int, default=3, help="of the worker")
    parser.add_argument("--poll-ms", type=float, default=100, help="milliseconds between two polls")
    parser.add_argument("--photo-size", type=int, default=320, help="side of a generated photo in pixels")
    parser.add_argument("--listings", type=Path, help="a .jsonl file to use instead of generated listings")
    return parser.parse_args()


def fill(settings: IndexerSettings, events: Sequence[Event]) -> None:
    """Index the listings through the worker."""
    submission = Submission(producer(settings), redis.Redis.from_url(settings.redis_url), settings)
    for chunk in chunked([{**event, "status": "on_sale"} for event in events], 64):
        submission.send(chunk)
    submission.finish()
    time.sleep(5)  # until all are visible, and answers may be stored


def measure(
    settings: IndexerSettings,
    events: Sequence[Event],
    part: Sequence[int],
    options: argparse.Namespace,
    *,
    cache: bool,
) -> Row:
    """Measure one run, with the cache or without, on its own half of the listings."""
    with served({"NITAMONO_INDEX_PREFIX": settings.prefix}, cache=cache) as port:
        own = [events[int(place)] for place in part]
        misses, hits = latencies(port, [event["item_id"] for event in own[-200:]])
        watch = Watch(port, options.poll_ms / 1000)
        askers = askers_of(port, own, options)
        watchers = list(send(settings, own, options, watch, askers))
        for each in watchers:
            each.join()
    return Row(
        "on" if cache else "off",
        percentiles(watch.searchable),
        percentiles(watch.gone),
        watch.stale,
        (len(watch.searchable), len(watch.gone)),
        percentiles(hits),
        percentiles(misses),
    )


def send(
    settings: IndexerSettings,
    events: Sequence[Event],
    options: argparse.Namespace,
    watch: Watch,
    askers: Mapping[int, str],
) -> Iterator[threading.Thread]:
    """Send events at the rate, and start a thread for each watched one.

    askers: by the number of a watched event, the item whose answer is polled.
    """
    sender, started = producer(settings), time.monotonic()
    for number in range(int(options.rate * options.seconds)):
        is_new = number % 5 == 0
        message = changed(events[number % len(events)], is_new)
        time.sleep(max(0.0, started + number / options.rate - time.monotonic()))
        if number in askers:
            follow = watch.listed if is_new else watch.sold
            thread = threading.Thread(target=follow, args=(message["item_id"], askers[number]))
            thread.start()
            yield thread
        sender.send_task(INDEX_TASK, args=[[message]], ignore_result=True)


def askers_of(port: int, events: Sequence[Event], options: argparse.Namespace) -> dict[int, str]:
    """By the number of each event to watch, an item whose answer will show or shows it."""
    step = max(1, int(options.rate * options.watch_every) // 5) * 5
    askers: dict[int, str] = {}
    for number in range(0, int(options.rate * options.seconds), step):
        twin, sold = (events[(number + place) % len(events)]["item_id"] for place in (0, 1))
        askers[number] = twin
        if asker := asker_of(port, sold):
            askers[number + 1] = asker
    return askers


def changed(event: Event, is_new: bool) -> Event:
    """A new listing with the photo of the event's, or its sale."""
    now = datetime.now(UTC).isoformat()
    if is_new:
        own = {"item_id": f"new-{uuid.uuid4().hex[:12]}", "created_at": now, "status": "on_sale"}
        return {**event, **own, "updated_at": now}
    return {**event, "status": "sold_out", "updated_at": now}


def asker_of(port: int, item_id: str) -> str | None:
    """An item whose answer shows this one, if it is found at once."""
    others = list(answer(port, item_id)[0])[:3]
    return next((other for other in others if item_id in answer(port, other)[0]), None)


def answer(port: int, item_id: str, **asked: str) -> tuple[set[str], bool]:
    """The items shown for one, and whether they were stored."""
    query = urlencode({**NO_RULES, "size": SIZE, **asked})
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", f"/v1/listings/{quote(item_id, safe='')}/similar?{query}")
    body: dict[str, Any] = json.loads(connection.getresponse().read())
    connection.close()
    return {item["item_id"] for item in body["items"]}, body["cached"]


def latencies(port: int, items: Sequence[str]) -> tuple[list[float], list[float]]:
    """Milliseconds of requests that are not stored yet, and of the same once more, with 24 items each."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    rounds = []
    for _ in range(2):
        times = []
        for item_id in items:
            begun = time.perf_counter()
            connection.request("GET", f"/v1/listings/{quote(item_id, safe='')}/similar")
            connection.getresponse().read()
            times.append((time.perf_counter() - begun) * 1000)
        rounds.append(times)
    connection.close()
    return rounds[0], rounds[1]


def percentiles(values: Sequence[float]) -> list[float]:
    """The 50th and 95th percentile and the maximum."""
    return [round(float(found), 3) for found in np.percentile(values, [50, 95, 100])] if values else []


def print_rows(rows: Sequence[Row]) -> None:
    """Print the table."""
    print("| cache | listed → searchable p50, p95, max s | sold → gone p50, p95, max s | stale |", end="")
    print(" first request p50, p95, max ms | second |\n|---|---|---|---|---|---|")
    for row in rows:
        cells = (row.searchable_s, row.gone_s, row.stale, row.miss_ms, row.hit_ms)
        print(f"| {row.cache} |", " | ".join(str(cell).strip("[]") for cell in cells), "|")


if __name__ == "__main__":
    main()
