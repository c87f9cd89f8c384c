"""Comparison of a source with an index at scale: `python -m bench.reconcile --count 1000000`.

It uses the Elasticsearch at ELASTICSEARCH_URL, with an index of its own. The source is a file of JSON lines
with the same random listings, of which some are missing from the index, newer than there, or absent from the
file. The command runs in a process of its own, whose CPU time and peak memory are printed.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import uuid
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
from elasticsearch import Elasticsearch, helpers

from indexer.settings import ProducerSettings
from indexer.worker.pipeline.documents import EncodedPhoto, to_document
from mappings.aliases import swap_aliases
from mappings.client import connect
from mappings.creation import IndexOptions, create_index
from mappings.identity import EncoderIdentity
from mappings.lifecycle import drop_index
from mappings.listing import parse_listing

EVERY: Final = 1_000
"""Of so many items one is missing, one stale and one extra."""
VECTORS: Final = 1_000
"""Different vectors: a comparison does not look at them."""


@dataclass(frozen=True)
class Result:
    """One run."""

    count: int
    seconds: float
    cpu_s: float
    rows_per_s: float
    peak_mib: float
    found: dict[str, int]


def main() -> None:
    """Load the index, write the source, compare them, and print the result as JSON."""
    options = arguments()
    settings = ProducerSettings.from_environ(os.environ)
    es = connect(settings.elasticsearch).options(request_timeout=120)
    prefix = f"bench-{uuid.uuid4().hex[:8]}"
    identity = EncoderIdentity.from_artifact(settings.encoder)
    name = create_index(es, prefix, identity, options=IndexOptions(replicas=0, vector_index="flat"))
    try:
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "listings.jsonl"
            write_source(source, options.count)
            load(es, name, identity, options.documents or options.count)
            swap_aliases(es, prefix, name)
            print(json.dumps(vars(compared(prefix, source, options.count))))
    finally:
        drop_index(es, name, force=True)


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000, help="listings of the source")
    parser.add_argument("--documents", type=int, help="the number of them in the index; all by default")
    return parser.parse_args()


def event(number: int, *, later: bool = False) -> dict[str, Any]:
    """Return an event of a random listing; `later` with another price and time."""
    updated = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number + 500 * later)
    return {
        "item_id": f"m{number:08}",
        "title": f"Red wool skirt number {number}, worn twice, from a home without pets",
        "category": ["Apparel", f"Group {number % 30}", f"Leaf {number % 150}"],
        "price": 500 + number % 9_000 + later,
        "currency": "JPY",
        "seller_id": f"s{number % 9_973}",
        "status": "on_sale" if number % 4 else "sold_out",
        "created_at": "2026-01-01T00:00:00Z",
        "updated_at": updated.isoformat(),
        "images": [f"https://images.example/{number}/1.jpg", f"https://images.example/{number}/2.jpg"],
        "attributes": {"colour": "Red", "brand": f"Brand {number % 500}", "size": "M"},
    }


def write_source(path: Path, count: int) -> None:
    """Write the rows, without those that are extra in the index."""
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            if number % EVERY != 1:
                file.write(json.dumps(event(number, later=number % EVERY == 2)) + "\n")


def load(es: Elasticsearch, index: str, identity: EncoderIdentity, count: int) -> None:
    """Index the documents, without those that are missing."""
    actions = documents(index, identity, count)
    deque(helpers.parallel_bulk(es, actions, thread_count=2, chunk_size=1000), maxlen=0)
    es.indices.refresh(index=index)


def documents(index: str, identity: EncoderIdentity, count: int) -> Iterator[dict[str, Any]]:
    """Yield the bulk actions."""
    rng = np.random.default_rng(7)
    vectors = rng.standard_normal((VECTORS, identity.dims))
    units = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).tolist()
    for number in range(count):
        if number % EVERY:
            listing = parse_listing(event(number))
            photo = EncodedPhoto(tuple(units[number % VECTORS]), "0" * 16)
            document = to_document(listing, photo, identity.encoder_id)
            yield {"_index": index, "_id": listing.item_id, "_source": document.to_source()}


def compared(prefix: str, source: Path, count: int) -> Result:
    """Run the command on the source, and return what it took and found."""
    program = "import cli; cli.main()"
    started = time.perf_counter()
    done = subprocess.run(  # noqa: S603  our own command
        [sys.executable, "-c", program, "indexer", "reconcile", str(source), "--json"],
        env=os.environ | {"NITAMONO_INDEX_PREFIX": prefix},
        stdout=subprocess.PIPE,
        check=False,
    )
    wall = time.perf_counter() - started
    summary = json.loads(done.stdout)
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    peak = usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    cpu = usage.ru_utime + usage.ru_stime
    found = {kind: summary[kind] for kind in ("missing", "stale", "extra", "without_vector")}
    return Result(count, round(wall, 1), round(cpu, 1), round(summary["rows"] / wall), round(peak, 1), found)


if __name__ == "__main__":
    main()
