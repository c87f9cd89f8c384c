"""How many listings a second go from event to searchable: `python -m bench.indexing --help`.

On the real Elasticsearch and Redis that ELASTICSEARCH_URL and NITAMONO_REDIS_URL name, with an index and
queues of its own. Two tables:

- stages: one process indexes chunks of several sizes, without Celery. For each size the rate, and the share
  of the time that reading, photos (fetch and decode, in threads), encoding and writing take.
- messages: the same listings through Redis and a Celery worker of one process, as messages of several sizes,
  and as messages of one event that celery-batches gathers in the worker. All ways run in turn in one run; the
  rate counts from the first message sent to the last listing searchable.

The listings are drawn (`--photo-size` pixels), or those of `--listings FILE`.
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

from celery import Celery
from celery_batches import Batches, SimpleRequest

from demo.marketplace.folder import write_marketplace
from indexer.intake.files import read_rows
from indexer.intake.submission import Submission, chunked
from indexer.settings import IndexerSettings
from indexer.summary import IndexingSummary
from indexer.worker.app import configuration, indexer, producer
from indexer.worker.bootstrap import build_indexer
from indexer.worker.delivery import log_chunk
from indexer.worker.pipeline import Indexer
from indexer.worker.stage_times import StageTimes
from mappings.image_roots import ImageRoots
from mappings.lifecycle import drop_index, ensure_live_index
from mappings.names import dead_letter_index
from queues.broker import redis_client

STAGES = ("read", "photos", "encode", "write")
GATHER = 64
"""Messages that celery-batches gathers at most."""
GATHER_S = 0.2
"""Seconds it waits for them."""
GATHERED = "bench.index_one"

Event = dict[str, Any]


@dataclass(frozen=True)
class StageRow:
    """What one chunk size costs in one process."""

    chunk: int
    listings_per_s: float
    shares: dict[str, float]
    """Of the wall time, by stage."""
    fetch_ms: float
    decode_ms: float
    """Of one photo, in its thread."""


@dataclass(frozen=True)
class MessageRow:
    """What one way of sending gives."""

    way: str
    listings_per_s: float
    encoder_batch: float
    """Pictures that the encoder saw at once, on average."""


def main() -> None:
    """Prints both tables and the same as JSON."""
    options = arguments()
    settings = IndexerSettings.from_environ(os.environ)
    settings = replace(
        settings, elasticsearch=replace(settings.elasticsearch, prefix=f"bench-{uuid.uuid4().hex[:8]}")
    )
    with tempfile.TemporaryDirectory() as folder:
        events = drawn(Path(folder), options) if options.listings is None else given(options.listings)
        events = events[: options.count]
        roots = {str(Path(image).parent) for event in events for image in event["images"]}
        settings = replace(settings, roots=ImageRoots(tuple(map(Path, roots))))
        own = build_indexer(settings)
        with index_of(own):
            stages = [measure_stages(own, events, size) for size in options.chunks]
            print_stages(stages)
            messages = measure_messages(own, settings, events, options)
            print_messages(messages)
    print(json.dumps({"stages": list(map(asdict, stages)), "messages": list(map(asdict, messages))}))


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--count", type=int, default=1000, help="listings a way")
    parser.add_argument("--chunks", type=int, nargs="+", default=[1, 16, 64, 256], help="listings a chunk")
    parser.add_argument("--repeats", type=int, default=2, help="runs of each way; the best counts")
    parser.add_argument("--photo-size", type=int, default=320, help="pixels of a drawn photo's side")
    parser.add_argument("--listings", type=Path, help="a .jsonl with photos, instead of drawn ones")
    return parser.parse_args()


def drawn(folder: Path, options: argparse.Namespace) -> list[Event]:
    """Events with drawn photos."""
    write_marketplace(folder / "shop", options.count, seed=1, photo_size=options.photo_size)
    return given(folder / "shop" / "listings.jsonl")


def given(file: Path) -> list[Event]:
    """The events of a file that are encoded: those with photos, not removed."""
    rows = (row.event for row in read_rows(file, file.parent.resolve()))
    return [event for event in rows if event and event["images"] and event["status"] != "removed"]


@contextmanager
def index_of(own: Indexer) -> Iterator[str]:
    """A live index, deleted at the end."""
    store = own.store
    name = ensure_live_index(store.es, store.prefix, store.identity)
    try:
        yield name
    finally:
        drop_index(store.es, name, force=True)
        store.es.indices.delete(index=dead_letter_index(store.prefix), ignore_unavailable=True)


def as_new(events: Sequence[Event]) -> list[Event]:
    """The events, about items that nobody has seen."""
    run = uuid.uuid4().hex[:8]
    return [event | {"item_id": f"{run}-{event['item_id']}"} for event in events]


def measure_stages(own: Indexer, events: Sequence[Event], size: int) -> StageRow:
    """The rate and the shares with chunks of a size."""
    total = StageTimes()
    own.index(as_new(events[:8]))
    started = time.perf_counter()
    for chunk in chunked(as_new(events), size):
        done = own.index(chunk)
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
    own: Indexer, settings: IndexerSettings, events: Sequence[Event], options: argparse.Namespace
) -> list[MessageRow]:
    """The rate of each way of sending, the best of all repeats; the ways take turns."""
    chunked_sender, gathered_sender = producer(settings), producer(settings)
    gathered_sender.conf.task_default_queue = gathered_queue(settings)
    with worker(settings, "indexer.worker.app") as plain, worker(settings, "bench.indexing") as gather:
        ways = [
            (
                f"messages of {size}",
                plain,
                size,
                Submission(chunked_sender, redis_client(settings.redis_url), settings),
            )
            for size in options.chunks
        ]
        gathered = Submission(
            gathered_sender, redis_client(settings.redis_url), settings, window=4096, task=GATHERED
        )
        ways.append(("messages of 1, celery-batches", gather, 1, gathered))
        runs = [measure_way(own, events, *way) for _ in range(options.repeats) for way in ways]
    best: dict[str, MessageRow] = {}
    for run in runs:
        if run.way not in best or run.listings_per_s > best[run.way].listings_per_s:
            best[run.way] = run
    return list(best.values())


def measure_way(
    own: Indexer, events: Sequence[Event], way: str, log: Path, size: int, submission: Submission
) -> MessageRow:
    """One run of one way."""
    submission.send(as_new(events[:1]))  # so that the worker is up
    submission.finish()
    given, batches = submission.summary.indexed, len(encoded_batches(log))
    started = time.perf_counter()
    for chunk in chunked(as_new(events), size):
        submission.send(chunk)
    indexed = submission.finish().indexed - given
    own.store.refresh()
    wall = time.perf_counter() - started
    if indexed != len(events):
        sys.exit(f"{way}: {indexed} of {len(events)} listings were indexed: {submission.summary}")
    sizes = encoded_batches(log)[batches:]
    return MessageRow(way, round(len(events) / wall, 1), round(sum(sizes) / max(1, len(sizes)), 1))


def encoded_batches(log: Path) -> list[int]:
    """The pictures of each chunk that a worker has logged."""
    words = (
        word for line in log.read_text().splitlines() if " chunk events=" in line for word in line.split()
    )
    return [int(word.removeprefix("encoded=")) for word in words if word.startswith("encoded=")]


def gathered_queue(settings: IndexerSettings) -> str:
    """The queue of the worker that gathers."""
    return f"{settings.queue}-gathered"


@contextmanager
def worker(settings: IndexerSettings, module: str) -> Iterator[Path]:
    """A worker of one process, and its log."""
    environ = os.environ | {
        "NITAMONO_INDEX_PREFIX": settings.prefix,
        "NITAMONO_IMAGE_ROOTS": os.pathsep.join(map(str, settings.roots.folders)),
        "OMP_NUM_THREADS": "1",
    }
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        module,
        "worker",
        "--concurrency",
        "1",
        "--loglevel",
        "INFO",
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


class Gathered(Batches):  # type: ignore[misc]  # Celery has no types
    """A task whose messages celery-batches hands over together."""

    flush_every = GATHER
    flush_interval = GATHER_S


def gathering_configuration() -> dict[str, Any]:
    """The indexer's settings, but for what celery-batches needs: it gathers what is prefetched."""
    settings = IndexerSettings.from_environ(os.environ)
    changes = {
        "worker_prefetch_multiplier": GATHER,
        "task_default_queue": gathered_queue(settings),
        "broker_transport": None,  # the indexer's knows one queue and its tasks alone
    }
    return configuration(settings) | changes | {"imports": ()}


app = Celery("bench", set_as_current=False)
app.add_defaults(gathering_configuration)


@app.task(name=GATHERED, base=Gathered)  # type: ignore[untyped-decorator]  # as above
def index_gathered(requests: Sequence[SimpleRequest]) -> None:
    """Indexes the events of all messages as one chunk, and stores a result for each message."""
    chunk = indexer().index([event for request in requests for event in request.args[0]])
    log_chunk(chunk)
    for request, outcome in zip(requests, chunk.outcomes_in_order(), strict=True):
        app.backend.mark_as_done(request.id, IndexingSummary.of([outcome]).to_json(), request=request)


def print_stages(rows: Sequence[StageRow]) -> None:
    """The first table."""
    print("| chunk | listings/s | " + " | ".join((*STAGES, "other")) + " | fetch ms | decode ms |")
    print("|" + " --: |" * (len(STAGES) + 5))
    for row in rows:
        shares = " | ".join(f"{share:.0%}" for share in row.shares.values())
        print(f"| {row.chunk} | {row.listings_per_s} | {shares} | {row.fetch_ms} | {row.decode_ms} |")


def print_messages(rows: Sequence[MessageRow]) -> None:
    """The second table, with ratios to the slowest way."""
    print("\n| way | listings/s | ratio | encoder batch |\n| :-- | --: | --: | --: |")
    least = min(row.listings_per_s for row in rows)
    for row in rows:
        print(
            f"| {row.way} | {row.listings_per_s} | {row.listings_per_s / least:.1f} | {row.encoder_batch} |"
        )


if __name__ == "__main__":
    main()
