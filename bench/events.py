"""Events per second that are validated, stored and exported: `python -m bench.events --help`.

On the real Elasticsearch that ELASTICSEARCH_URL names, with indices of its own. Four rates of one process:

- validated: JSON to events with hashed user ids, as the API does for each request.
- stored: messages of 500 to documents, as the worker does, with the fields of listings.
- repeated: the same messages once more.
- exported: documents to parquet files, with the peak memory of this process.

Three in four events are impressions of `--items` items; the rest are taps.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from os import environ
from pathlib import Path
from typing import Any

from events.indices import drop_event_days, event_days
from events.schema import parse_event
from events.worker.export import export_day
from events.worker.settings import EventSettings
from events.worker.store import EventStore
from mappings.client import connect

MESSAGE = 500
SALT = "a salt of the benchmark's own"


def make_events(count: int, items: int) -> Iterator[dict[str, Any]]:
    """Yield current events of a thousand users, as senders write them."""
    now = datetime.now(UTC).isoformat()
    for number in range(count):
        common = {
            "event_id": f"e{number}",
            "time": now,
            "user_id": f"u{number % 1000}",
            "slate_id": f"s{number // 4}",
            "query_item_id": f"m{number % 5000}",
        }
        if number % 4 == 3:
            yield common | {"type": "tap", "item_id": "m1", "position": 1}
            continue
        shown = [
            {"item_id": f"m{(number + place) % 5000}", "position": place} for place in range(1, items + 1)
        ]
        yield common | {
            "type": "impression",
            "items": shown,
            "arms": ["bench:control"],
            "encoder_id": "bench",
            "took_ms": 8.0,
        }


@contextmanager
def added(seconds: defaultdict[str, float], name: str) -> Iterator[None]:
    """Add the duration of the block."""
    begun = time.perf_counter()
    yield
    seconds[name] += time.perf_counter() - begun


def most_memory_mb() -> int:
    """Return the peak memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1e6 if sys.platform == "darwin" else 1e3))


def measure(count: int, items: int) -> dict[str, int]:
    """Return the rates in events per second and the peak memory in MB."""
    settings = EventSettings.from_environ(environ)
    prefix = f"bench-{uuid.uuid4().hex[:8]}"
    seconds: defaultdict[str, float] = defaultdict(float)
    with connect(settings.elasticsearch) as es, tempfile.TemporaryDirectory() as folder:
        store, events = EventStore(es, prefix), make_events(count, items)
        try:
            while sent := list(islice(events, MESSAGE)):
                with added(seconds, "validated"):
                    messages = [parse_event(event, salt=SALT).to_message() for event in sent]
                for name in ("stored", "repeated"):
                    with added(seconds, name):
                        store.store(messages)
            before = most_memory_mb()
            with added(seconds, "exported"):
                for day in event_days(es, prefix):
                    export_day(es, prefix, day, Path(folder))
        finally:
            drop_event_days(es, prefix, event_days(es, prefix))
    rates = {name: round(count / spent) for name, spent in seconds.items()}
    return {"events": count, "items": items} | rates | {"mb_before": before, "mb_after": most_memory_mb()}


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--items", type=int, default=24, help="of an impression")
    arguments = parser.parse_args()
    print(json.dumps(measure(arguments.events, arguments.items), indent=2))


if __name__ == "__main__":
    main()
