"""Latency, recall and update cost of one peer."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from bench.peers.peer import Effort, Market, Peer
from bench.query import overlap
from bench.served import SIZE

SECONDS_PER_POINT: Final = 10.0
"""A slow peer answers fewer items; at least MIN_ITEMS."""
MIN_ITEMS: Final = 10
WARM_UP: Final = 20
"""Items before each point, for at most a quarter of its time."""
PATIENCE_S: Final = 30.0
"""How long an update may stay invisible."""


@dataclass(frozen=True)
class Point:
    """One effort. Milliseconds; shares from 0 to 1."""

    effort: str
    recall: float
    """Of the 24 items of the exact answer, filters and re-rank included."""
    p50_ms: float
    p95_ms: float
    short: float
    """The share of answers with fewer items than the exact one."""
    items: int


@dataclass(frozen=True)
class Measured:
    """The figures of one peer."""

    name: str
    note: str
    persists: bool
    filters: bool
    build_s: float
    bytes: int
    points: tuple[Point, ...]
    price_change_s: float | None
    """Median seconds from the write until a search shows it; None if none did within PATIENCE_S."""
    new_listing_s: float | None

    def fastest(self, recall: float) -> Point | None:
        """The fastest point of at least this recall."""
        reaching = [point for point in self.points if point.recall >= recall]
        return min(reaching, key=lambda point: point.p50_ms, default=None)

    @property
    def best(self) -> Point:
        """The point of highest recall."""
        return max(self.points, key=lambda point: point.recall)


def measured(peer: Peer, queries: Sequence[int], exact: Sequence[list[str]]) -> Measured:
    """Build a peer, measure it, and close it.

    exact: the ids of the exact answer to each query.
    """
    begun = time.perf_counter()
    peer.build()
    build_s = time.perf_counter() - begun
    try:
        size = peer.size()
        points = tuple(point(peer, effort, queries, exact) for effort in peer.efforts)
        widest = max(zip(peer.efforts, points, strict=True), key=lambda pair: pair[1].recall)[0]
        price_s = price_change_seconds(peer, widest, queries)
        new_s = new_listing_seconds(peer, widest)
    finally:
        peer.close()
    return Measured(
        peer.name, peer.note, peer.persists, peer.filters, round(build_s, 1), size, points, price_s, new_s
    )


def point(peer: Peer, effort: Effort, queries: Sequence[int], exact: Sequence[list[str]]) -> Point:
    """Query each item once, or as many as the time allows, after a warm-up."""
    _within(SECONDS_PER_POINT / 4, queries[:WARM_UP], lambda query: peer.answer(query, effort), least=1)
    times: list[float] = []

    def timed(query: int) -> list[str]:
        begun = time.perf_counter()
        answer = peer.answer(query, effort)
        times.append((time.perf_counter() - begun) * 1000)
        return answer

    answers = _within(SECONDS_PER_POINT, queries, timed)
    pairs = list(zip(answers, exact, strict=False))
    return Point(
        str(effort),
        recall=round(float(np.mean([overlap(given, best) for given, best in pairs])), 4),
        p50_ms=round(float(np.percentile(times, 50)), 2),
        p95_ms=round(float(np.percentile(times, 95)), 2),
        short=round(float(np.mean([len(given) < min(SIZE, len(best)) for given, best in pairs])), 4),
        items=len(times),
    )


def _within(
    seconds: float, queries: Sequence[int], answer: Callable[[int], list[str]], *, least: int = MIN_ITEMS
) -> list[list[str]]:
    end = time.perf_counter() + seconds
    answers: list[list[str]] = []
    for query in queries:
        if len(answers) >= least and time.perf_counter() > end:
            break
        answers.append(answer(query))
    return answers


def price_change_seconds(peer: Peer, effort: Effort, queries: Sequence[int], times: int = 5) -> float | None:
    """Median seconds until an item whose price left the band is gone from an answer."""
    market, found = peer.market, []
    for query in queries[:times]:
        answer = peer.answer(query, effort)
        if not answer:
            continue
        row = market.oracle.position[answer[0]]
        price = float(market.oracle.prices[row])
        market.set_price(row, price * 1e6)
        found.append(_seconds_until(peer, effort, query, row, shown=False))
        market.set_price(row, price)
        peer.write(row)
    return _median(found)


def new_listing_seconds(peer: Peer, effort: Effort) -> float | None:
    """Median seconds until each listing held back is in the answer for itself, that is for its twin."""
    market, found = peer.market, []
    for row in range(market.built, len(market.vectors)):
        market.oracle.on_sale[row] = True
        found.append(_seconds_until(peer, effort, twin(market, row), row, shown=True))
    return _median(found)


def twin(market: Market, row: int) -> int:
    """The listing that a listing held back is a copy of: the same picture, category and price."""
    return row - market.built


def _seconds_until(peer: Peer, effort: Effort, query: int, row: int, *, shown: bool) -> float | None:
    """Seconds from a write until the start of the first search that shows it."""
    name = peer.market.oracle.ids[row]
    begun = time.perf_counter()
    peer.write(row)
    while (asked := time.perf_counter() - begun) < PATIENCE_S:
        if (name in peer.answer(query, effort)) == shown:
            return asked
    return None


def _median(seconds: Sequence[float | None]) -> float | None:
    found = [each for each in seconds if each is not None]
    return round(statistics.median(found), 4) if len(found) == len(seconds) and found else None


def peer_in(kind: type[Peer], market: Market, folder: Path) -> Peer:
    """A peer with a folder of its own."""
    own = folder / kind.__name__
    own.mkdir(parents=True)
    return kind(market, own)
