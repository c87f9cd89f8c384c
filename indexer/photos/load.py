"""Loading of a chunk's photos: fetched and decoded in threads, within a time limit."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TypeVar

from indexer.errors import PhotoUnavailable, PhotoUnusable
from indexer.photos.fetch import PhotoFetcher
from indexer.worker.pipeline.stage_times import StageTimes
from mappings.failures import Failure
from ml.inference.preprocess import OnDefect, UnusablePhoto

T = TypeVar("T")

Decode = Callable[[str, bytes, OnDefect], T]
"""Decodes a photo, given its reference and its bytes. It raises UnusablePhoto, and calls OnDefect with the
code of a defect in a photo that is used all the same."""


@dataclass(frozen=True)
class PhotoLoader:
    """Loads the photos of a chunk."""

    fetcher: PhotoFetcher
    pool: ThreadPoolExecutor
    decoding: threading.Semaphore
    budget_s: float
    """Seconds for all photos of a chunk."""
    per_host: int
    """Photos of one host that are loaded at once, so that no thread waits for a slow host."""

    def load(
        self, references: Iterable[str], decode: Decode[T], stage_times: StageTimes
    ) -> dict[str, T | Failure]:
        """Return by reference each photo as it is decoded, or why it cannot be."""
        futures: dict[str, Future[T | Failure]] = {reference: Future() for reference in references}
        by_host: defaultdict[str, deque[str]] = defaultdict(deque)
        for reference in futures:
            by_host[host_of(reference)].append(reference)

        def load_next(waiting: deque[str]) -> None:
            """Load a photo of a host, then queue for another one behind those of other hosts."""
            try:
                reference = waiting.popleft()
            except IndexError:  # the last ones are being loaded
                return
            try:
                futures[reference].set_result(self._load(reference, decode, stage_times))
            except BaseException as error:
                futures[reference].set_exception(error)
                raise
            finally:
                self.pool.submit(load_next, waiting)

        for _ in range(self.per_host):
            for waiting in by_host.values():
                self.pool.submit(load_next, waiting)
        wait(futures.values(), timeout=self.budget_s)
        for waiting in by_host.values():
            waiting.clear()
        return {reference: _result(future) for reference, future in futures.items()}

    def _load(self, reference: str, decode: Decode[T], stage_times: StageTimes) -> T | Failure:
        try:
            with stage_times.measure("fetch"):
                data = self.fetcher.fetch(reference)
            with self.decoding, stage_times.measure("decode"):
                return decode(reference, data, stage_times.count)
        except UnusablePhoto as error:
            return PhotoUnusable(error.reason, str(error))
        except Failure as error:
            return error


def host_of(reference: str) -> str:
    """Return the host and port in a URL, empty for the path of a file."""
    return reference.partition("://")[2].partition("/")[0]


def _result(future: Future[T | Failure]) -> T | Failure:
    if future.done():
        return future.result()
    return PhotoUnavailable("photo_unavailable", "the time for the photos of a chunk ran out")
