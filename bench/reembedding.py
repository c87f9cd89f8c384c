"""A change of the encoder under reads and writes: `python -m bench.reembedding --help`.

It uses the Elasticsearch and Redis at ELASTICSEARCH_URL and NITAMONO_REDIS_URL, with its own indices and
queue, a Celery worker with both encoders, the API behind gunicorn without its answer cache, and the commands
as an operator runs them. The new encoder is the same one under another name, so each photo is encoded again.

The listings are those of `--listings FILE`, or generated ones, each as often as `--count` takes; copies have
the vector of the first one in the old index. Throughout, answers are asked for and prices changed at fixed
rates, whatever comes back (open loop).
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from elasticsearch import Elasticsearch, helpers

from bench.freshness import percentiles
from bench.indexing import Event, events_in, generate, own_settings, with_photos, worker
from bench.served import served, similar_path
from indexer.intake.submission import chunked
from indexer.settings import IndexerSettings
from indexer.worker.app import producer
from indexer.worker.bootstrap import build_indexer
from mappings.inspection import indices_behind
from mappings.lifecycle import drop_index, ensure_live_index
from mappings.names import dead_letter_index, write_alias
from mappings.scan import pages
from ml.artifact import encoder_id, load_artifact, save_manifest
from queues.listings.names import INDEX_TASK


@dataclass
class Phase:
    """What was asked meanwhile."""

    name: str
    seconds: float = 0.0
    answers: int = 0
    failed: int = 0
    ms: list[float] = field(default_factory=list)
    """50th and 95th percentile and maximum of the times of answers."""


RULES: Final = {"collapse_duplicates": "false", "seller_cap": 0}
"""Copies have the photo and the seller of their listing, so no answer would be full."""


@dataclass
class Reads:
    """Asks for similar items at a rate, in threads of its own."""

    port: int
    items: Sequence[str]
    rate: float
    times: list[tuple[float, float]] = field(default_factory=list)
    """When each answer was asked for, and its milliseconds; those of failures are infinite."""
    _stopping: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Ask until the end of the block."""
        thread = threading.Thread(target=self._ask_all)
        thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            thread.join()

    def _ask_all(self) -> None:
        chance, started = random.Random(1), time.monotonic()
        for number in itertools.count():
            if self._stopping.wait(max(0.0, started + number / self.rate - time.monotonic())):
                return
            threading.Thread(target=self._ask, args=(chance.choice(self.items),)).start()

    def _ask(self, item_id: str) -> None:
        asked, begun = time.monotonic(), time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", similar_path(item_id, RULES))
            answer = connection.getresponse()
            shown = len(json.loads(answer.read())["items"])
            passed = answer.status == 200 and shown > 0
        except (OSError, http.client.HTTPException, ValueError, KeyError):
            passed = False
        finally:
            connection.close()
        self.times.append((asked, (time.perf_counter() - begun) * 1000 if passed else float("inf")))

    def phase(self, name: str, begun: float, ended: float) -> Phase:
        """What was asked between two moments."""
        found = [ms for asked, ms in list(self.times) if begun <= asked < ended]
        passed = [ms for ms in found if ms != float("inf")]
        return Phase(
            name, round(ended - begun, 1), len(passed), len(found) - len(passed), percentiles(passed)
        )


@contextmanager
def writes(settings: IndexerSettings, items: Sequence[Event], rate: float) -> Iterator[dict[str, float]]:
    """Change prices at a rate until the end of the block, and yield the newest price of each item."""
    prices: dict[str, float] = {}
    stopping, sender = threading.Event(), producer(settings)

    def send() -> None:
        chance, started = random.Random(2), time.monotonic()
        for number in itertools.count():
            if stopping.wait(max(0.0, started + number / rate - time.monotonic())):
                return
            event = chance.choice(items)
            prices[event["item_id"]] = 1_000 + number
            change = {"op": "update", "item_id": event["item_id"], "price": 1_000 + number}
            change["updated_at"] = datetime.now(UTC).isoformat()
            sender.send_task(INDEX_TASK, args=[[change]], ignore_result=True)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield prices
    finally:
        stopping.set()
        thread.join()


def main() -> None:
    """Print a table of reads by phase and what the commands say, then the same as JSON."""
    options = arguments()
    settings = own_settings()
    with tempfile.TemporaryDirectory() as folder:
        events = events_in(options.listings or generate(Path(folder), options))
        events = [event | {"status": "on_sale"} for event in events]
        settings = with_photos(settings, events)
        other = renamed(settings.encoder, Path(folder) / "encoder")
        os.environ["NITAMONO_FURTHER_ENCODER_DIRS"] = str(other)
        try:
            measure(settings, filled(settings, events, options.count), events, other, options)
        finally:
            delete_all(settings)


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000, help="listings in the index")
    parser.add_argument("--reads", type=float, default=10, help="answers a second")
    parser.add_argument("--writes", type=float, default=10, help="price changes a second")
    parser.add_argument("--calm", type=float, default=60, help="seconds of reads and writes before and after")
    parser.add_argument("--processes", type=int, default=1, help="of the worker")
    parser.add_argument("--photo-size", type=int, default=320, help="side of a generated photo in pixels")
    parser.add_argument("--listings", type=Path, help="a .jsonl file to use instead of generated listings")
    return parser.parse_args()


def renamed(encoder: Path, folder: Path) -> Path:
    """Copy an encoder under another name, and return its folder."""
    shutil.copytree(encoder, folder)
    manifest = load_artifact(folder).manifest
    other = {"name": "again", "encoder_id": encoder_id("again", manifest.files, manifest.preprocessing)}
    save_manifest(folder, manifest.model_copy(update=other))
    return folder


def filled(settings: IndexerSettings, events: Sequence[Event], count: int) -> list[str]:
    """Fill the live index, and return its items: each event once, and copies of their documents."""
    local = build_indexer(settings)
    index = ensure_live_index(local.store.es, local.store.prefix, local.store.encoders[0])
    for chunk in chunked(events[:count], 256):
        local.index(chunk)
    local.store.refresh()
    es = local.store.es.options(request_timeout=120)
    actions = itertools.islice(copies(es, index), max(0, count - len(events)))
    deque(helpers.parallel_bulk(es, actions, thread_count=2, chunk_size=500), maxlen=0)
    local.store.refresh()
    return [event["item_id"] for event in events[:count]]


def copies(es: Elasticsearch, index: str) -> Iterator[dict[str, Any]]:
    """Yield bulk actions that copy the documents of an index under other ids, again and again."""
    hits = [hit for page in pages(es, index, {"match_all": {}}, with_vectors=True) for hit in page]
    for number in itertools.count():
        for hit in hits:
            item_id = f"copy{number}-{hit['_id']}"
            yield {"_index": index, "_id": item_id, "_source": hit["_source"] | {"item_id": item_id}}


def measure(
    settings: IndexerSettings,
    items: Sequence[str],
    events: Sequence[Event],
    other: Path,
    options: argparse.Namespace,
) -> None:
    """Re-embed and roll back under reads and writes."""
    roots = os.pathsep.join(map(str, settings.roots.folders))
    environ = {"NITAMONO_INDEX_PREFIX": settings.prefix, "NITAMONO_IMAGE_ROOTS": roots}
    moments = []
    with served(environ) as port, worker(settings, options.processes):
        reads = Reads(port, items, options.reads)
        with reads.running(), writes(settings, events[: options.count], options.writes) as prices:
            time.sleep(options.calm)
            moments.append(time.monotonic())
            reembed = nitamono(environ, "indexer", "reembed", "--encoder", str(other), "--no-swap")
            moments.append(time.monotonic())
            swap = nitamono(environ, "indexer", "reembed", "--encoder", str(other))
            moments.append(time.monotonic())
            time.sleep(options.calm)
            rollback = nitamono(environ, "indexer", "rollback")
            time.sleep(2)
            ended = time.monotonic()
        time.sleep(10)  # until the last changes are indexed
        lost = wrong_prices(settings, prices)
    filling = moments[1] - moments[0]
    phases = [
        reads.phase("before", moments[0] - options.calm, moments[0]),
        reads.phase("backfill", moments[0], moments[1]),
        reads.phase("gates and swap", moments[1], moments[2]),
        reads.phase("after, with a rollback", moments[2], ended),
    ]
    print("| phase | seconds | answers | failed | p50, p95, max ms |\n|---|---|---|---|---|")
    for each in phases:
        print(f"| {each.name} | {each.seconds} | {each.answers} | {each.failed} | {each.ms} |")
    said = {"reembed": reembed, "swap": swap, "rollback": rollback}
    print(*said.values(), sep="\n")
    rate = round(options.count / filling, 1)
    print(
        json.dumps({"phases": list(map(asdict, phases)), "listings_per_s": rate, "wrong_prices": lost} | said)
    )


def wrong_prices(settings: IndexerSettings, prices: dict[str, float]) -> int:
    """The number of items that have not their newest price in each of the indices."""
    store = build_indexer(settings).store
    wrong: set[str] = set()
    for index in indices_behind(store.es, write_alias(settings.prefix)):
        for part in chunked(list(prices), 500):
            found = store.read(index, part)
            wrong |= {item for item in part if found[item].source.get("price") != prices[item]}
    return len(wrong)


def nitamono(environ: dict[str, str], *arguments: str) -> str:
    """Run a command and return what it prints."""
    program = "import cli; cli.main()"
    done = subprocess.run(  # noqa: S603  our own command
        [sys.executable, "-c", program, *arguments],
        env=os.environ | environ,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout


def delete_all(settings: IndexerSettings) -> None:
    """Delete the indices."""
    es = build_indexer(settings).store.es
    for index in es.indices.get(index=f"{settings.prefix}-*", filter_path="*.aliases"):
        drop_index(es, index, force=True)
    es.indices.delete(index=dead_letter_index(settings.prefix), ignore_unavailable=True)


if __name__ == "__main__":
    main()
