"""The load generator: latencies from due times, and requests that do not wait for answers."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

import pytest

from bench.load import Connections, Sample, closed_loop, content_length, due_times, open_loop, summary


def test_requests_of_an_open_loop_are_due_at_equal_distances() -> None:
    """Four a second for two seconds."""
    assert due_times(4, 2) == [0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75]


def test_latency_counts_from_the_due_time() -> None:
    """A request due at 1.0 and sent at 1.4 was slow for its user, however fast its answer came."""
    load = summary("", [Sample(due=1.0, sent=1.4, done=1.5, status=200)])
    assert (load.p50_ms, load.max_ms, load.lag_p99_ms) == (500, 500, 400)
    assert load.is_late


def test_a_pause_of_the_server_is_in_the_percentiles() -> None:
    """Ten requests due during a pause of a second are ten slow ones, not one: 1000, 900 … 100 ms."""
    paused = [Sample(number / 10, number / 10, 1.0, 200) for number in range(10)]
    quick = [Sample(1 + number / 10, 1 + number / 10, 1.001 + number / 10, 200) for number in range(10)]
    load = summary("", [*paused, *quick])
    assert (load.p50_ms, load.max_ms) == (50.5, 1000)
    assert not load.is_late


def test_errors_are_counted_and_their_latencies_are_not() -> None:
    """An error that comes at once makes no percentile better."""
    load = summary("", [Sample(0, 0, 0.1, 200), Sample(0, 0, 0.2, 503), Sample(0, 0, 0.2, 0)])
    assert (load.requests, load.errors, load.p50_ms, load.achieved_per_s) == (3, 2, 100, 5)


def test_an_open_loop_does_not_wait_for_answers() -> None:
    """Twenty answers that take 200 ms each, at 100 requests a second, end within 2 × 200 ms."""

    async def slow(path: str) -> int:
        await asyncio.sleep(0.2)
        return 200

    begun = time.perf_counter()
    samples = asyncio.run(open_loop(slow, ["/"], rate=100, seconds=0.2))
    assert len(samples) == 20
    assert time.perf_counter() - begun < 1.5  # one after the other: 4 s


def test_a_closed_loop_keeps_as_many_under_way_as_clients() -> None:
    """Three clients."""
    under_way, most = 0, 0

    async def ask(path: str) -> int:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.01)
        under_way -= 1
        return 200

    samples = asyncio.run(closed_loop(ask, ["/"], clients=3, seconds=0.1))
    assert most == 3
    assert len(samples) >= 3


def test_the_length_of_a_body_is_read_from_its_headers() -> None:
    """Whatever else is there."""
    assert content_length("http/1.1 200 ok\r\ncontent-type: a\r\ncontent-length: 12\r\n\r\n") == 12
    with pytest.raises(ValueError, match="no Content-Length"):
        content_length("http/1.1 200 ok\r\n\r\n")


def test_connections_are_kept_and_opened_again_after_the_server_closed_them() -> None:
    """A server that closes each connection after two answers: five answers over three connections."""
    opened = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal opened
        opened += 1
        with suppress(asyncio.IncompleteReadError):
            for _ in range(2):
                await reader.readuntil(b"\r\n\r\n")
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
                await writer.drain()
        writer.close()

    async def ask() -> list[int]:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        connections = Connections(*server.sockets[0].getsockname())
        statuses = []
        for _ in range(5):
            statuses.append(await connections.status("/"))
            await asyncio.sleep(0.05)
        connections.close()
        server.close()
        return statuses

    assert asyncio.run(ask()) == [200] * 5
    assert opened == 3


def test_a_request_that_is_not_answered_in_time_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that an open loop ends although the server is behind."""
    monkeypatch.setattr("bench.load.TIMEOUT_S", 0.05)

    async def ask() -> int:
        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        connections = Connections(*server.sockets[0].getsockname())
        try:
            return await connections.status("/")
        finally:
            server.close()

    assert asyncio.run(ask()) == 0


def test_a_server_that_is_gone_is_an_error() -> None:
    """Status 0, and no exception that ends the load."""

    async def ask() -> int:
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        server.close()
        await server.wait_closed()
        return await Connections(*address).status("/")

    assert asyncio.run(ask()) == 0
