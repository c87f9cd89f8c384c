"""What metrics cost: `python -m bench.watching`.

Indexes generated listings in chunks, every other one counted as a worker counts it, with files that processes
share; then answers requests of a Flask app, every other one counted as the API counts it. Chunks and requests
of both kinds take turns. Times are CPU times of this process, so that other work on the machine and the waits
for Elasticsearch do not hide what metrics cost. Uses the Elasticsearch of ELASTICSEARCH_URL.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from flask import Flask

from bench.indexing import as_new, events_in, generate, index_of
from indexer.intake.submission import chunked
from indexer.settings import IndexerSettings
from indexer.summary import IndexingSummary
from indexer.worker.bootstrap import build_indexer
from indexer.worker.metrics import count_chunk, count_messages
from indexer.worker.pipeline.chunk import Chunk
from indexer.worker.pipeline.indexer import Indexer
from mappings.image_roots import ImageRoots
from query.api.metrics import begin_request, count_request
from queues.origin import Origin
from telemetry.shared_files import collect, share_metrics


@dataclass(frozen=True)
class IndexingCost:
    """Chunks with and without metrics."""

    chunk: int
    ms_with: float
    """Median CPU time of a chunk; likewise ms_without."""
    ms_without: float
    ratio: float
    """Of the two medians."""
    share: float
    """The CPU time spent on metrics, of that of the chunks that have them."""


@dataclass(frozen=True)
class RequestCost:
    """Requests with and without metrics: median CPU time in microseconds."""

    us_with: float
    us_without: float

    @property
    def us(self) -> float:
        """What metrics cost a request."""
        return self.us_with - self.us_without


def measure_indexing(local: Indexer, events: Sequence[Any], size: int, messages: int) -> IndexingCost:
    """Index in chunks of a size; each counted one is counted as if it came in so many messages."""
    origin, summary = Origin.here(), IndexingSummary(indexed=1)

    def count(chunk: Chunk) -> None:
        count_chunk(chunk)
        count_messages("bench", [(origin, summary)] * messages)

    count(local.index(as_new(events[:size])))
    taken: dict[bool, list[float]] = {True: [], False: []}
    counting = 0.0
    for number, part in enumerate(chunked(as_new(events), size)):
        counted = number % 2 == 0
        begun = time.process_time()
        chunk = local.index(part)
        indexed = time.process_time()
        if counted:
            count(chunk)
            counting += time.process_time() - indexed
        taken[counted].append(time.process_time() - begun)
    ms = {counted: 1000 * median(times) for counted, times in taken.items()}
    return IndexingCost(
        size,
        round(ms[True], 2),
        round(ms[False], 2),
        round(ms[True] / ms[False], 4),
        round(counting / sum(taken[True]), 5),
    )


def measure_requests(count: int) -> RequestCost:
    """Answer requests in turns."""
    apps = {True: app(), False: app()}
    apps[True].before_request(begin_request)
    apps[True].after_request(count_request)
    clients = {counted: each.test_client() for counted, each in apps.items()}
    taken: dict[bool, list[float]] = {True: [], False: []}
    for number in range(count + 100):
        for counted, client in clients.items():
            begun = time.process_time()
            client.get("/items/m1")
            if number >= 100:
                taken[counted].append(1e6 * (time.process_time() - begun))
    return RequestCost(round(median(taken[True]), 2), round(median(taken[False]), 2))


def app() -> Flask:
    """Return an app with one route."""
    made = Flask(__name__)

    @made.get("/items/<item_id>")
    def item(item_id: str) -> str:
        return item_id

    return made


def measure_collection() -> float:
    """Return the milliseconds of one scrape."""
    begun = time.perf_counter()
    collect()
    return round(1000 * (time.perf_counter() - begun), 1)


def main() -> None:
    """Print the figures, then the same as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=2000, help="listings (default: %(default)s)")
    parser.add_argument("--requests", type=int, default=5000, help="of each kind (default: %(default)s)")
    parser.add_argument("--photo-size", type=int, default=224, help="side of a photo in pixels")
    options = parser.parse_args()
    share_metrics()
    settings = IndexerSettings.from_environ(os.environ)
    prefix = f"bench-{uuid.uuid4().hex[:8]}"
    settings = replace(settings, elasticsearch=replace(settings.elasticsearch, prefix=prefix))
    with tempfile.TemporaryDirectory() as folder:
        events = events_in(generate(Path(folder), options))
        roots = {Path(image).parent for event in events for image in event["images"]}
        local = build_indexer(replace(settings, roots=ImageRoots(tuple(roots))))
        with index_of(local):
            indexing = [measure_indexing(local, events, size, messages=size) for size in (16, 64)]
    requests, scrape_ms = measure_requests(options.requests), measure_collection()
    for row in indexing:
        print(
            f"chunks of {row.chunk}: {row.ms_with} ms with metrics, {row.ms_without} ms without, "
            f"ratio {row.ratio}; metrics take {row.share:.3%} of the CPU time"
        )
    print(f"a request: {requests.us:.1f} µs for metrics; one scrape: {scrape_ms} ms")
    figures = {"indexing": list(map(asdict, indexing)), "requests": asdict(requests), "scrape_ms": scrape_ms}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
