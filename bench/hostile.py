"""Memory of a worker that is sent hostile photos, URLs and rows: `python -m bench.hostile --help`.

It uses the Elasticsearch and Redis at ELASTICSEARCH_URL and NITAMONO_REDIS_URL, with its own index and queue
and one worker of one process. The worker gets, through the queue, listings with ordinary photos, then about
500 hostile photos, 40 hostile hosts, 90 hostile URLs and 300 odd rows, and then the ordinary listings again.
It prints the outcomes, and the memory of each part; `--output FILE` draws the memory.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil

from bench.indexing import events_in, generate, index_of, worker
from console.table import table
from indexer.intake.submission import Submission, chunked
from indexer.settings import IndexerSettings
from indexer.summary import IndexingSummary
from indexer.worker.app import producer
from indexer.worker.bootstrap import build_indexer
from mappings.image_roots import ImageRoots
from queues.broker import redis_client
from tests.factories import make_event
from tests.hostile.photos import hostile_photos
from tests.hostile.rows import odd_rows
from tests.hostile.urls import HOSTS, hostile_urls
from tests.photo_server import PhotoServer, photo_server

MIB = 2**20
Event = dict[str, Any]


@dataclass
class Memory:
    """Resident memory of the worker's processes together, sampled in a thread."""

    every_s: float = 0.02
    samples: list[tuple[float, float]] = field(default_factory=list)
    """Seconds since the start, and MiB."""
    _done: threading.Event = field(default_factory=threading.Event)
    _start: float = field(default_factory=time.monotonic)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Sample during the block."""
        thread = threading.Thread(target=self._watch)
        thread.start()
        try:
            yield
        finally:
            self._done.set()
            thread.join()

    def now(self) -> float:
        """Return the seconds since the start."""
        return time.monotonic() - self._start

    def peak(self, start: float, end: float) -> float:
        """Return the most MiB between two moments."""
        return max((mib for at, mib in self.samples if start <= at <= end), default=0.0)

    def _watch(self) -> None:
        while not self._done.wait(self.every_s):
            self.samples.append((self.now(), sum(map(resident, psutil.Process().children(recursive=True)))))


@dataclass(frozen=True)
class Part:
    """The events of one kind, and what became of them."""

    name: str
    start: float
    end: float
    sent: int
    summary: IndexingSummary


def main() -> None:
    """Print the outcomes and the memory of each part."""
    options = arguments()
    os.environ |= {"NITAMONO_FETCH_ALLOWED_HOSTS": "127.0.0.1", "NITAMONO_PHOTO_MAX_RETRIES": "1"}
    settings = IndexerSettings.from_environ(os.environ)
    prefix = f"bench-{uuid.uuid4().hex[:8]}"
    settings = replace(settings, elasticsearch=replace(settings.elasticsearch, prefix=prefix))
    with tempfile.TemporaryDirectory() as name, photo_server() as server:
        folder = Path(name)
        ordinary = events_in(generate(folder, options))
        settings = replace(settings, roots=ImageRoots((folder.resolve(),)))
        batches = {
            "ordinary": ordinary,
            "photos": photo_events(folder),
            "hosts": host_events(server),
            "URLs": [event(f"url-{n}", url) for n, url in enumerate(hostile_urls())],
            "rows": list(odd_rows().values()),
            "ordinary again": [{**each, "item_id": f"{each['item_id']}-2"} for each in ordinary],
        }
        memory = Memory()
        with index_of(build_indexer(settings)), worker(settings), memory.watched():
            parts = [send(settings, memory, name, events) for name, events in batches.items()]
    print_parts(parts, memory)
    if options.output:
        draw(parts, memory, options.output)
    if any(part.summary.total != part.sent for part in parts):
        sys.exit("An event has no outcome.")


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--count", type=int, default=1000, help="ordinary listings")
    parser.add_argument("--photo-size", type=int, default=800, help="side of their photos in pixels")
    parser.add_argument("--output", type=Path, help="a file for the graph, such as memory.svg")
    return parser.parse_args()


def event(item_id: str, reference: str) -> Event:
    """Return a listing with one photo."""
    return make_event(item_id=item_id, images=[reference])


def photo_events(folder: Path) -> list[Event]:
    """Return listings with the hostile photos, which are written to the folder."""
    events = []
    for number, photo in enumerate(hostile_photos()):
        path = folder / f"hostile-{number}.jpg"
        path.write_bytes(photo.make())
        events.append(event(f"photo-{number}", str(path.resolve())))
    return events


def host_events(server: PhotoServer) -> list[Event]:
    """Return listings whose photos are on hosts that misbehave."""
    return [
        event(f"host-{number}", server.url(f"/{number}", answer))
        for number, (answer, _) in enumerate(HOSTS.values())
    ]


def send(settings: IndexerSettings, memory: Memory, name: str, events: Sequence[Event]) -> Part:
    """Send the events through the queue, and wait for their outcomes."""
    start = memory.now()
    submission = Submission(producer(settings), redis_client(settings.redis_url), settings)
    for chunk in chunked(events, settings.batch_size):
        submission.send(chunk)
    summary = submission.finish()
    return Part(name, start, memory.now(), len(events), summary)


def resident(process: psutil.Process) -> float:
    """Return the resident memory of a process in MiB, 0 if it has ended."""
    try:
        return float(process.memory_info().rss) / MIB
    except psutil.Error:
        return 0.0


def print_parts(parts: Sequence[Part], memory: Memory) -> None:
    """Print what became of each part, and the memory."""
    rows = []
    for part in parts:
        refused = Counter(part.summary.without_vector) + Counter(part.summary.rejected)
        reasons = ", ".join(f"{reason} {count}" for reason, count in refused.most_common())
        figures = (
            part.sent,
            part.summary.total,
            part.summary.indexed,
            f"{memory.peak(part.start, part.end):.0f}",
        )
        rows.append([part.name, *map(str, figures), reasons])
    head = ("part", "sent", "with outcome", "indexed", "peak MiB", "refused")
    print(table(head, rows, right=head[1:5]))


def draw(parts: Sequence[Part], memory: Memory, file: Path) -> None:
    """Draw the memory, with the parts marked."""
    import matplotlib as mpl  # noqa: PLC0415  heavy, and needed for the graph alone

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415  as above

    figure, axes = plt.subplots(figsize=(9, 3.2), layout="constrained")
    axes.plot(*zip(*memory.samples, strict=True), linewidth=0.8)
    for part in parts:
        axes.axvspan(part.start, part.end, alpha=0.08 if parts.index(part) % 2 else 0.16, linewidth=0)
        axes.text(part.start, axes.get_ylim()[1], f" {part.name}", rotation=90, va="top", fontsize=8)
    axes.set(xlabel="seconds", ylabel="resident memory of the worker, MiB", ylim=(0, None))
    figure.savefig(file)


if __name__ == "__main__":
    main()
