"""Loading of a chunk's photos from several hosts."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

import pytest

from indexer.errors import PhotoUnavailable
from indexer.photos.fetch import PhotoFetcher
from indexer.photos.hosts import Breakers
from indexer.photos.load import PhotoLoader
from indexer.settings import FetchSettings
from indexer.worker.pipeline.stage_times import StageTimes
from mappings.image_roots import ImageRoots
from ml.inference.preprocess import OnDefect
from tests.photo_server import PhotoServer, once_a_connection, photo_server, serve, silence
from tests.unit.indexer.photos.test_hosts import Clock
from tests.waiting import wait_until


def as_bytes(_: str, data: bytes, on_defect: OnDefect) -> bytes:
    """A photo is decoded as its bytes."""
    del on_defect
    return data


@contextmanager
def loader(
    settings: FetchSettings, breakers: Breakers | None = None, budget_s: float = 30
) -> Iterator[PhotoLoader]:
    """A loader whose pixels are the bytes of the photo."""
    with ThreadPoolExecutor(settings.threads) as pool:
        fetcher = PhotoFetcher(settings, ImageRoots(), breakers)
        yield PhotoLoader(
            fetcher=fetcher,
            pool=pool,
            decoding=threading.Semaphore(2),
            budget_s=budget_s,
            per_host=settings.per_host,
        )
        fetcher.close()


def fetch_settings(**fields: float) -> FetchSettings:
    """Settings that allow a server on this machine."""
    return FetchSettings(allowed_hosts=frozenset({"127.0.0.1"}), **fields)  # type: ignore[arg-type]


def urls(server: PhotoServer, answer: object, count: int) -> list[str]:
    """The URLs of so many photos with one answer."""
    return [server.url(f"/{number}", answer) for number in range(count)]  # type: ignore[arg-type]


def test_photos_of_other_hosts_are_loaded_while_one_hangs() -> None:
    """The host answers only when all photos of the other one were asked for."""
    all_asked = threading.Event()

    def when_others_are_done(handler: BaseHTTPRequestHandler) -> None:
        all_asked.wait(20)
        serve(b"slow")(handler)

    def counting(handler: BaseHTTPRequestHandler) -> None:
        serve(b"fast")(handler)
        if len(fast.requests) == 40:
            all_asked.set()

    with photo_server() as slow, photo_server() as fast, loader(fetch_settings(idle_s=25)) as loading:
        references = [*urls(slow, when_others_are_done, 40), *urls(fast, counting, 40)]
        loaded = loading.load(references, as_bytes, StageTimes())
    assert all(isinstance(pixels, bytes) for pixels in loaded.values())


def test_a_host_that_hangs_is_asked_for_few_of_a_chunks_photos_and_for_none_of_the_next() -> None:
    """Its photos wait; a probe finds out when it answers again, and no chunk waits for that."""
    clock = Clock()
    settings = fetch_settings(idle_s=1, per_host=4)
    with (
        photo_server() as dead,
        photo_server() as good,
        loader(settings, Breakers(clock=clock)) as loading,
    ):
        references = [*urls(dead, silence, 40), *urls(good, serve(b"photo"), 40)]
        for _ in range(2):
            loaded = loading.load(references, as_bytes, StageTimes())
            waiting = [failure for failure in loaded.values() if isinstance(failure, PhotoUnavailable)]
            assert len(waiting) == 40
            assert len(dead.requests) <= 8
        assert "was not asked" in waiting[-1].detail

        urls(dead, serve(b"photo"), 40)

        def answers_again() -> bool:
            clock.now += 60
            [first] = loading.load(references[:1], as_bytes, StageTimes()).values()
            return isinstance(first, bytes)

        wait_until(answers_again)


def test_connections_are_used_again_by_later_chunks() -> None:
    """One a thread at most, to each of several hosts."""
    with (
        photo_server() as one,
        photo_server() as two,
        photo_server() as three,
        loader(fetch_settings(threads=4)) as loading,
    ):
        servers = [one, two, three]
        references = [url for server in servers for url in urls(server, serve(b"photo"), 20)]
        for _ in range(3):
            loading.load(references, as_bytes, StageTimes())
        assert [len(server.requests) for server in servers] == [60, 60, 60]
        assert all(server.connections <= 4 for server in servers)


def test_a_connection_that_the_host_closed_is_replaced() -> None:
    """Without a retry of the listing, and without counting as a failure of the host."""
    with photo_server() as server, loader(fetch_settings(threads=1)) as loading:
        references = urls(server, once_a_connection(serve(b"photo")), 8)
        loaded = loading.load(references, as_bytes, StageTimes())
    assert all(isinstance(pixels, bytes) for pixels in loaded.values())
    assert server.connections > 1


def test_photos_that_are_not_loaded_in_time_wait() -> None:
    """Those of other hosts are used."""
    with (
        photo_server() as slow,
        photo_server() as good,
        loader(fetch_settings(idle_s=2), budget_s=0.5) as loading,
    ):
        bad, fine = urls(slow, silence, 1)[0], urls(good, serve(b"photo"), 1)[0]
        loaded = loading.load([bad, fine], as_bytes, StageTimes())
        slow.stopping.set()
    failure = loaded[bad]
    assert isinstance(failure, PhotoUnavailable)
    assert "ran out" in failure.detail
    assert isinstance(loaded[fine], bytes)


def test_an_unforeseen_error_is_raised_after_the_other_photos() -> None:
    """It is no problem of the photo: the attempt at the chunk fails."""
    decoded: list[bytes] = []

    def decode(_: str, data: bytes, __: object) -> bytes:
        decoded.append(data)
        if data == b"bad":
            raise AttributeError("a bug")
        return data

    with photo_server() as server, loader(fetch_settings(threads=1)) as loading:
        references = [server.url("/bad", serve(b"bad")), *urls(server, serve(b"photo"), 20)]
        with pytest.raises(AttributeError, match="a bug"):
            loading.load(references, decode, StageTimes())
    assert len(decoded) == 21
