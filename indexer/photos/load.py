"""Loading of a chunk's photos: fetched and decoded in threads, within a time limit."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexer.errors import PhotoUnavailable, PhotoUnusable
from indexer.photos.fetch import PhotoFetcher
from indexer.worker.pipeline.stage_times import StageTimes
from mappings.failures import Failure
from ml.inference.preprocess import OnDefect, UnusablePhoto

Pixels = NDArray[np.uint8]
"""(size, size, 3) uint8, RGB, as `ml.inference.preprocess` returns it."""

Loaded = Future[Pixels | Failure]


@dataclass(frozen=True)
class PhotoLoader:
    """Loads the photos of a chunk."""

    fetcher: PhotoFetcher
    pool: ThreadPoolExecutor
    decoding: threading.Semaphore
    decode: Callable[[bytes, OnDefect], Pixels]
    """Raises UnusablePhoto; calls OnDefect with the code of a defect in a photo that is used all the same."""
    budget_s: float
    """Seconds for all photos of a chunk."""
    per_host: int
    """Photos of one host that are loaded at once, so that no thread waits for a slow host."""

    def load(self, references: Iterable[str], stage_times: StageTimes) -> dict[str, Pixels | Failure]:
        """Return by reference the pixels of each photo, (size, size, 3) uint8 RGB, or why it has none."""
        futures: dict[str, Loaded] = {reference: Future() for reference in references}
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
                futures[reference].set_result(self._load(reference, stage_times))
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

    def _load(self, reference: str, stage_times: StageTimes) -> Pixels | Failure:
        try:
            with stage_times.measure("fetch"):
                data = self.fetcher.fetch(reference)
            with self.decoding, stage_times.measure("decode"):
                return self.decode(data, stage_times.count)
        except UnusablePhoto as error:
            return PhotoUnusable(error.reason, str(error))
        except Failure as error:
            return error


def host_of(reference: str) -> str:
    """Return the host and port in a URL, empty for the path of a file."""
    return reference.partition("://")[2].partition("/")[0]


def _result(future: Loaded) -> Pixels | Failure:
    if future.done():
        return future.result()
    return PhotoUnavailable("photo_unavailable", "the time for the photos of a chunk ran out")
