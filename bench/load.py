"""Latency of the API under load: `python -m bench.load --help`.

Open loop: requests are sent at fixed rates, whether or not earlier ones were answered, and the latency of
each counts from the moment at which it was due. A client that waits for an answer before it sends the next
request measures fewer requests exactly while the server is slow ("coordinated omission", Gil Tene, "How NOT
to Measure Latency", 2013). Closed loop: each of N clients sends its next request as soon as it has an
answer.

The listings are random (`--synthetic N`) or real ones (`--listings FILE`) in Elasticsearch, behind a
gunicorn of this command's own; or `--url` names an API that runs. The answer cache is off unless `--cache`
is given. Neighbours of random listings often lie below the floor of similarity, so that a third of the
answers need a second search; `--no-rules` leaves the result policy out. `lag` is how late this generator sent
its requests. Where it is more than a millisecond, the generator itself is the limit and the row says so.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import json
import os
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import numpy as np

from bench.catalogue import Catalogue, loaded, merge, real_catalogue, synthetic_catalogue
from bench.query import Compared, Row, in_turns, one_search, sampled
from bench.served import served, similar_path
from mappings.client import ElasticsearchSettings, connect
from mappings.creation import IndexOptions
from query.search.result_policy import NO_RULES

MAX_LAG_MS: Final = 1.0
"""The 99th percentile of lag up to which a row measures the API and not the generator."""

TIMEOUT_S: Final = 10.0
"""A request that is not answered within this time is an error."""


@dataclass(frozen=True)
class Sample:
    """One request. Seconds on one clock."""

    due: float
    sent: float
    done: float
    status: int
    """Of HTTP; 0 where the connection failed or no answer came in time."""

    @property
    def latency_ms(self) -> float:
        """From the moment at which it was due, so that the wait for a slow server counts."""
        return (self.done - self.due) * 1000

    @property
    def lag_ms(self) -> float:
        """How late it was sent."""
        return (self.sent - self.due) * 1000


@dataclass(frozen=True)
class Load:
    """The figures of one load. Milliseconds, and requests per second."""

    load: str
    requests: int
    errors: int
    achieved_per_s: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    lag_p99_ms: float

    @property
    def is_late(self) -> bool:
        """Whether the generator was the limit."""
        return self.lag_p99_ms > MAX_LAG_MS


def due_times(rate: float, seconds: float) -> list[float]:
    """Seconds from the start at which each request of an open loop is due."""
    return [number / rate for number in range(int(rate * seconds))]


def summary(load: str, samples: Sequence[Sample]) -> Load:
    """The figures of one load; latencies are those of requests that were answered with 200."""
    answered = [sample for sample in samples if sample.status == 200]
    latencies = [sample.latency_ms for sample in answered] or [float("nan")]
    elapsed = max(sample.done for sample in samples) - min(sample.due for sample in samples)
    p50, p95, p99, longest = np.percentile(latencies, [50, 95, 99, 100]).round(2).tolist()
    lag = round(float(np.percentile([sample.lag_ms for sample in samples], 99)), 2)
    rate = round(len(answered) / elapsed, 1)
    return Load(load, len(samples), len(samples) - len(answered), rate, p50, p95, p99, longest, lag)


class Connections:
    """HTTP/1.1 connections kept open; as many as requests are under way. For one event loop."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def status(self, path: str) -> int:
        """Send one GET, read its answer, and return the status; 0 where there was none in time."""
        try:
            return await asyncio.wait_for(self._exchange(path), TIMEOUT_S)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError):
            return 0

    async def _exchange(self, path: str) -> int:
        while self._idle:  # the one used last, which the server is least likely to have closed
            try:
                return await self._over(*self._idle.pop(), path)
            except (ConnectionError, asyncio.IncompleteReadError):
                continue  # closed by the server meanwhile; a GET may be sent again (RFC 9110, 9.2.2)
        opened = await asyncio.open_connection(self._host, self._port, limit=2**20)
        return await self._over(*opened, path)

    async def _over(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> int:
        request = (
            f"GET {path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\nAccept: application/json\r\n\r\n"
        )
        keep = False
        try:
            writer.write(request.encode("ascii"))
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            await reader.readexactly(content_length(head))
            keep = "connection: close" not in head
        finally:
            if keep:
                self._idle.append((reader, writer))
            else:
                writer.close()
        return int(head.split(maxsplit=2)[1])

    def close(self) -> None:
        """Close the connections that no request uses."""
        for _, writer in self._idle:
            writer.close()


def content_length(head: str) -> int:
    """The bytes of a body, by its lower-case header lines.

    Raises:
        ValueError: no header says it.
    """
    for line in head.split("\r\n"):
        name, _, value = line.partition(":")
        if name == "content-length":
            return int(value)
    raise ValueError(f"no Content-Length in {head!r}")


Ask = Callable[[str], Awaitable[int]]
"""Sends a request for a path and returns the status."""


async def open_loop(ask: Ask, paths: Sequence[str], rate: float, seconds: float) -> list[Sample]:
    """Send requests at a fixed rate."""
    start = time.perf_counter()

    async def one(due: float, path: str) -> Sample:
        sent = time.perf_counter()
        status = await ask(path)
        return Sample(due, sent, time.perf_counter(), status)

    tasks = []
    for offset, path in zip(due_times(rate, seconds), itertools.cycle(paths), strict=False):
        await asyncio.sleep(max(0.0, start + offset - time.perf_counter()))
        tasks.append(asyncio.create_task(one(start + offset, path)))
    return await asyncio.gather(*tasks)


async def closed_loop(ask: Ask, paths: Sequence[str], clients: int, seconds: float) -> list[Sample]:
    """Keep as many requests under way as there are clients."""
    end = time.perf_counter() + seconds
    remaining = itertools.cycle(paths)

    async def client() -> list[Sample]:
        samples = []
        while (due := time.perf_counter()) < end:
            status = await ask(next(remaining))
            samples.append(Sample(due, due, time.perf_counter(), status))
        return samples

    return list(itertools.chain(*await asyncio.gather(*(client() for _ in range(clients)))))


async def loads(url: str, items: Sequence[str], asked: Asked) -> list[Load]:
    """Measure the closed loop, then each rate, after a warm-up over all items."""
    parts = urlsplit(url)
    connections = Connections(parts.hostname or "127.0.0.1", parts.port or 80)
    paths = [parts.path.rstrip("/") + similar_path(item_id, asked.rules) for item_id in items]
    for path in paths:
        await connections.status(path)
    ask, seconds = connections.status, asked.seconds
    # First, because an open loop above what the API can serve leaves requests behind that it still works on.
    samples = await closed_loop(ask, paths, asked.clients, seconds)
    closed = summary(f"closed, {asked.clients} clients", samples)
    opened = [
        summary(f"open, {rate:g}/s", await open_loop(ask, paths, rate, seconds)) for rate in asked.rates
    ]
    connections.close()
    return [closed, *opened]


def measured(url: str, items: Sequence[str], asked: Asked) -> list[Load]:
    """The loads, without pauses of Python's garbage collector in the generator."""
    gc.collect()
    gc.disable()
    try:
        return asyncio.run(loads(url, items, asked))
    finally:
        gc.enable()


@dataclass(frozen=True)
class Asked:
    """The loads to make."""

    rates: tuple[float, ...]
    clients: int
    seconds: float
    rules: Mapping[str, Any]
    """Of the result policy, where they differ from the API's."""


@dataclass(frozen=True)
class Report:
    """The measurements of one API."""

    target: str
    loads: list[Load]
    bare: Row | None = None
    """The same searches without HTTP, one after the other."""

    def table(self) -> str:
        """The measurements as text."""
        lines = [self.target]
        if self.bare:
            lines.append(f"bare search: p50 {self.bare.p50_ms:.2f} ms, p95 {self.bare.p95_ms:.2f} ms")
        names = ("requests", "errors", "per s", "p50 ms", "p95 ms", "p99 ms", "max ms", "lag p99")
        lines.append(f"{'':22}" + "".join(f"{name:>10}" for name in names))
        return "\n".join([*lines, *map(_line, self.loads)])


def _line(row: Load) -> str:
    numbers = (row.achieved_per_s, row.p50_ms, row.p95_ms, row.p99_ms, row.max_ms, row.lag_p99_ms)
    text = f"{row.load:22}{row.requests:10}{row.errors:10}" + "".join(f"{value:10.2f}" for value in numbers)
    return text + ("  the generator was late" if row.is_late else "")


def items_of(url: str, count: int) -> list[str]:
    """The ids of the newest listings of an API that runs."""
    ids: list[str] = []
    for page in range(1, count // 100 + 2):
        address = f"{url.rstrip('/')}/v1/listings?size=100&page={page}"
        with urllib.request.urlopen(address, timeout=30) as answer:  # noqa: S310  the user's URL
            found = [listing["item_id"] for listing in json.load(answer)["listings"]]
        ids += found
        if not found:
            break
    if not ids:
        raise SystemExit(f"{url} has no listing for sale; `nitamono index FILE` adds some")
    return ids[:count]


@contextmanager
def api_of(
    catalogue: Catalogue, items: Sequence[str], rules: Mapping[str, Any], *, cache: bool
) -> Iterator[tuple[str, Row]]:
    """An API over the catalogue in one segment; yields its URL and the figures of bare searches."""
    settings = ElasticsearchSettings.from_environ(os.environ)
    settings = replace(settings, prefix=f"bench-load-{os.getpid()}", timeout_s=60)
    environ = {"ELASTICSEARCH_URL": ",".join(settings.urls), "NITAMONO_INDEX_PREFIX": settings.prefix}
    with connect(settings) as es, loaded(es, settings.prefix, catalogue, IndexOptions()) as index:
        merge(es, index)
        bare = in_turns(
            [Compared("bare", one_search(es, settings.prefix, rules=rules), [[]] * len(items))], items
        )[0]
        with served(environ, cache=cache) as port:
            yield f"http://127.0.0.1:{port}", bare


def main() -> None:
    """Print a table and a line of JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--listings", type=Path, help="JSON lines of listing events with photos")
    parser.add_argument("--root", type=Path, help="folder of their photos (default: that of the file)")
    parser.add_argument("--vectors", type=Path, help=".npy file of their vectors, in order")
    parser.add_argument("--synthetic", type=int, metavar="N", help="N random listings")
    parser.add_argument("--url", help="an API that runs, instead of one started here")
    parser.add_argument("--items", type=int, default=200, help="query items (default: %(default)s)")
    parser.add_argument(
        "--rates", type=float, nargs="+", default=[50, 100, 200, 400], help="requests per second"
    )
    parser.add_argument("--clients", type=int, default=8, help="of the closed loop (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=20, help="of each load (default: %(default)s)")
    parser.add_argument("--cache", action="store_true", help="leave the answer cache on")
    parser.add_argument("--no-rules", action="store_true", help="ask without the result policy")
    given = parser.parse_args()
    rules = NO_RULES if given.no_rules else {}
    asked = Asked(tuple(given.rates), given.clients, given.seconds, rules)
    if given.url:
        _print(Report(given.url, measured(given.url, items_of(given.url, given.items), asked)))
        return
    if given.listings:
        catalogue = real_catalogue(given.listings, given.root or given.listings.parent, given.vectors)
    elif given.synthetic:
        catalogue = synthetic_catalogue(given.synthetic)
    else:
        parser.error("pass --synthetic N, --listings FILE or --url URL")
    items = sampled(catalogue, given.items)
    with api_of(catalogue, items, rules, cache=given.cache) as (url, bare):
        _print(Report(f"{catalogue.name} listings, one segment", measured(url, items, asked), bare))


def _print(report: Report) -> None:
    print(report.table(), json.dumps(asdict(report)), sep="\n", flush=True)


if __name__ == "__main__":
    main()
