"""The rate of events that change nothing but prices: `python -m bench.updates --help`.

It uses the Elasticsearch and Redis at ELASTICSEARCH_URL and NITAMONO_REDIS_URL, with its own index and queue,
and a Celery worker. All listings are indexed first. Then their prices are changed, in turn by complete
listings and by events with `op: update`; the rate is measured from the first message until the last price is
searchable.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.indexing import Event, events_in, generate, index_of, own_settings, with_photos, worker
from indexer.intake.submission import Submission, chunked
from indexer.settings import IndexerSettings
from indexer.worker.app import producer
from indexer.worker.bootstrap import build_indexer
from queues.broker import redis_client


@dataclass(frozen=True)
class Row:
    """The rates of one kind of event in events a second, by round."""

    kind: str
    events_per_s: list[float]


def main() -> None:
    """Print a table of both kinds, then the same as JSON."""
    options = arguments()
    settings = own_settings()
    with tempfile.TemporaryDirectory() as folder:
        events = events_in(options.listings or generate(Path(folder), options))[: options.count]
        settings = with_photos(settings, events)
        local = build_indexer(settings)
        with index_of(local), worker(settings, options.processes):
            sent(settings, events, options.chunk)
            rows = [Row("complete listings", []), Row("`op: update`", [])]
            for number in range(options.rounds):
                for row, make in zip(rows, (repriced, price_change), strict=True):
                    changes = [make(event, number) for event in events]
                    started = time.perf_counter()
                    sent(settings, changes, options.chunk)
                    local.store.refresh()
                    row.events_per_s.append(round(len(events) / (time.perf_counter() - started), 1))
    print("| events | events/s by round |\n|---|---|")
    for row in rows:
        print(f"| {row.kind} | {', '.join(f'{rate:,}' for rate in row.events_per_s)} |")
    print(json.dumps(list(map(asdict, rows))))


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000, help="listings")
    parser.add_argument("--chunk", type=int, default=256, help="events in a message")
    parser.add_argument("--rounds", type=int, default=3, help="changes of each listing, of each kind")
    parser.add_argument("--processes", type=int, default=2, help="of the worker")
    parser.add_argument("--photo-size", type=int, default=64, help="side of a generated photo in pixels")
    parser.add_argument("--listings", type=Path, help="a .jsonl file to use instead of generated listings")
    return parser.parse_args()


def sent(settings: IndexerSettings, events: Sequence[Event], size: int) -> None:
    """Send the events and wait until all are indexed."""
    submission = Submission(producer(settings), redis_client(settings.redis_url), settings)
    for chunk in chunked(events, size):
        submission.send(chunk)
    summary = submission.finish()
    if summary.indexed != len(events):
        sys.exit(f"{summary.indexed:,} of {len(events):,} events were indexed. {summary}")


def repriced(event: Event, number: int) -> Event:
    """The whole listing with another price."""
    return event | {"price": (event["price"] or 0) + 1 + number, "updated_at": now()}


def price_change(event: Event, number: int) -> Event:
    """Another price alone."""
    price = {"price": (event["price"] or 0) + 100 + number, "currency": event["currency"]}
    return {"op": "update", "item_id": event["item_id"], "updated_at": now(), **price}


def now() -> str:
    """This instant."""
    return datetime.now(UTC).isoformat()


if __name__ == "__main__":
    main()
