"""The indexing rate, from event to searchable listing: `python -m bench.indexing --help`.

It uses the Elasticsearch and Redis at ELASTICSEARCH_URL and NITAMONO_REDIS_URL, with its own index and
queues, and prints two tables:

- stages: one process indexes chunks of several sizes, without Celery. For each size, the rate and the share
  of time of reading, photos (fetch and decode, in threads), encoding and writing.
- messages: the same listings through Redis and a Celery worker with one process, as messages of several
  sizes, and as messages of one event to a worker that gathers none (NITAMONO_BATCH_SIZE=1). The methods take
  turns; the rate is measured from the first message sent until the last listing is searchable.

The listings are generated (with photos of `--photo-size` pixels), or those of `--listings FILE`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from demo.marketplace.folder import write_marketplace
from indexer.intake.files import read_rows
from indexer.intake.submission import Submission, chunked
from indexer.settings import IndexerSettings
from indexer.worker.app import producer
from indexer.worker.bootstrap import build_indexer
from indexer.worker.pipeline.indexer import Indexer
from indexer.worker.pipeline.stage_times import StageTimes
from mappings.image_roots import ImageRoots
from mappings.lifecycle import drop_index, ensure_live_index
from mappings.names import dead_letter_index
from queues.broker import redis_client

STAGES = ("read", "photos", "encode", "write")
Event = dict[str, Any]


@dataclass(frozen=True)
class StageRow:
    """The rate and the times of a chunk size in one process."""

    chunk: int
    listings_per_s: float
    shares: dict[str, float]
    """The share of the wall time, by stage."""
    fetch_ms: float
    decode_ms: float
    """Milliseconds for one photo, in its thread; likewise `fetch_ms`."""


@dataclass(frozen=True)
class MessageRow:
    """The rate of a method of sending."""

    method: str
    listings_per_s: float
    encoder_batch: float
    """The average number of photos in a batch of the encoder."""


@dataclass(frozen=True)
class Method:
    """A method: the size of messages, and of the chunks that the worker makes of them."""

    name: str
    size: int
    batch_size: int = 64


def main() -> None:
    """Print both tables, then the same as JSON."""
    options = arguments()
    settings = own_settings()
    with tempfile.TemporaryDirectory() as folder:
        file = options.listings or generate(Path(folder), options)
        events = events_in(file)[: options.count]
        settings = with_photos(settings, events)
        local = build_indexer(settings)
        with index_of(local):
            stages = [measure_stages(local, events, size) for size in options.chunks]
            print_stages(stages)
            messages = measure_messages(local, settings, events, options)
            print_messages(messages)
    print(json.dumps({"stages": list(map(asdict, stages)), "messages": list(map(asdict, messages))}))


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--count", type=int, default=1000, help="listings for each measurement")
    parser.add_argument("--chunks", type=int, nargs="+", default=[1, 16, 64, 256], help="listings in a chunk")
    parser.add_argument("--repeats", type=int, default=2, help="runs of each method; the best one counts")
    parser.add_argument("--photo-size", type=int, default=320, help="side of a generated photo in pixels")
    parser.add_argument("--listings", type=Path, help="a .jsonl file to use instead of generated listings")
    return parser.parse_args()


def generate(folder: Path, options: argparse.Namespace) -> Path:
    """Generate a marketplace and return its file of listings."""
    write_marketplace(folder / "shop", options.count, seed=1, photo_size=options.photo_size)
    return folder / "shop" / "listings.jsonl"


def own_settings() -> IndexerSettings:
    """The settings of the environment, with a prefix that nothing else has."""
    settings = IndexerSettings.from_environ(os.environ)
    prefix = f"bench-{uuid.uuid4().hex[:8]}"
    return replace(settings, elasticsearch=replace(settings.elasticsearch, prefix=prefix))


def with_photos(settings: IndexerSettings, events: Sequence[Event]) -> IndexerSettings:
    """The settings, with the folders of the events' photos allowed."""
    roots = {Path(image).parent for event in events for image in event["images"]}
    return replace(settings, roots=ImageRoots(tuple(sorted(roots))))


def events_in(file: Path) -> list[Event]:
    """Return the events of a file whose photos are encoded: those with photos that are not removed."""
    rows = (row.event for row in read_rows(file, file.parent.resolve()))
    return [event for event in rows if event and event["images"] and event["status"] != "removed"]


@contextmanager
def index_of(local: Indexer) -> Iterator[str]:
    """Create a live index, and delete it at the end."""
    store = local.store
    name = ensure_live_index(store.es, store.prefix, store.encoders[0])
    try:
        yield name
    finally:
        drop_index(store.es, name, force=True)
        store.es.indices.delete(index=dead_letter_index(store.prefix), ignore_unavailable=True)


def as_new(events: Sequence[Event]) -> list[Event]:
    """Return the events with item ids that do not exist yet."""
    run = uuid.uuid4().hex[:8]
    return [event | {"item_id": f"{run}-{event['item_id']}"} for event in events]


def measure_stages(local: Indexer, events: Sequence[Event], size: int) -> StageRow:
    """Measure the rate and the stages with chunks of a size."""
    total = StageTimes()
    local.index(as_new(events[:8]))
    started = time.perf_counter()
    for chunk in chunked(as_new(events), size):
        done = local.index(chunk)
        for stage, seconds in done.stage_times.seconds.items():
            total.seconds[stage] += seconds
    wall = time.perf_counter() - started
    shares = {stage: round(total.seconds[stage] / wall, 3) for stage in STAGES}
    return StageRow(
        size,
        round(len(events) / wall, 1),
        shares | {"other": round(1 - sum(shares.values()), 3)},
        round(1000 * total.seconds["fetch"] / len(events), 2),
        round(1000 * total.seconds["decode"] / len(events), 2),
    )


def measure_messages(
    local: Indexer, settings: IndexerSettings, events: Sequence[Event], options: argparse.Namespace
) -> list[MessageRow]:
    """Measure each method of sending, in turn; the best run of each counts."""
    methods = [
        Method("messages of 1, none gathered", 1, batch_size=1),
        *(Method(f"messages of {size}", size) for size in options.chunks),
    ]
    runs = [
        measure_method(local, settings, events, method) for _ in range(options.repeats) for method in methods
    ]
    best: dict[str, MessageRow] = {}
    for run in sorted(runs, key=lambda run: run.listings_per_s):
        best[run.method] = run
    return [best[method.name] for method in methods]


def measure_method(
    local: Indexer, settings: IndexerSettings, events: Sequence[Event], method: Method
) -> MessageRow:
    """Measure one run of a method."""
    submission = Submission(producer(settings), redis_client(settings.redis_url), settings, window=4096)
    with worker(settings, batch_size=method.batch_size) as log:
        submission.send(as_new(events[:1]))  # waits until the worker is up
        before, batches = submission.finish().indexed, len(encoded_batches(log))
        started = time.perf_counter()
        for chunk in chunked(as_new(events), method.size):
            submission.send(chunk)
        indexed = submission.finish().indexed - before
        local.store.refresh()
        wall = time.perf_counter() - started
        sizes = encoded_batches(log)[batches:]
    if indexed != len(events):
        sys.exit(f"{method.name}: {indexed:,} of {len(events):,} listings were indexed. {submission.summary}")
    return MessageRow(method.name, round(len(events) / wall, 1), round(sum(sizes) / max(1, len(sizes)), 1))


def encoded_batches(log: Path) -> list[int]:
    """Return the number of encoded photos of each chunk in a worker's log."""
    words = (
        word for line in log.read_text().splitlines() if " chunk events=" in line for word in line.split()
    )
    return [int(word.removeprefix("encoded=")) for word in words if word.startswith("encoded=")]


@contextmanager
def worker(settings: IndexerSettings, processes: int = 1, batch_size: int = 64) -> Iterator[Path]:
    """Run a worker, and return its log."""
    environ = os.environ | {
        "NITAMONO_INDEX_PREFIX": settings.prefix,
        "NITAMONO_BATCH_SIZE": str(batch_size),
        "NITAMONO_IMAGE_ROOTS": os.pathsep.join(map(str, settings.roots.folders)),
        "OMP_NUM_THREADS": "1",
    }
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "indexer.worker.app",
        "worker",
        "--concurrency",
        str(processes),
    ]
    with tempfile.NamedTemporaryFile(suffix=".log") as log:
        process = subprocess.Popen(  # noqa: S603  our own command
            [*command, "--loglevel", "INFO", "--without-gossip", "--without-mingle"],
            env=environ,
            stdout=log,
            stderr=log,
        )
        try:
            yield Path(log.name)
        finally:
            process.terminate()
            process.wait()


def print_stages(rows: Sequence[StageRow]) -> None:
    """Print the first table."""
    print("| chunk | listings/s | " + " | ".join((*STAGES, "other")) + " | fetch ms | decode ms |")
    print("|" + " --: |" * (len(STAGES) + 5))
    for row in rows:
        shares = " | ".join(f"{share:.0%}" for share in row.shares.values())
        print(f"| {row.chunk} | {row.listings_per_s:,} | {shares} | {row.fetch_ms} | {row.decode_ms} |")


def print_messages(rows: Sequence[MessageRow]) -> None:
    """Print the second table, with ratios to the slowest method."""
    print("\n| method | listings/s | ratio | encoder batch |\n| :-- | --: | --: | --: |")
    least = min(row.listings_per_s for row in rows)
    for row in rows:
        print(
            f"| {row.method} | {row.listings_per_s:,} | {row.listings_per_s / least:.1f} "
            f"| {row.encoder_batch} |"
        )


if __name__ == "__main__":
    main()
