"""Loading of a chunk's photos: fetched and decoded in threads, within a time limit."""

from __future__ import annotations

import threading
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

    def load(self, references: Iterable[str], stage_times: StageTimes) -> dict[str, Pixels | Failure]:
        """Return by reference the pixels of each photo, (size, size, 3) uint8 RGB, or why it has none."""
        futures = {
            reference: self.pool.submit(self._load_one, reference, stage_times)
            for reference in dict.fromkeys(references)
        }
        wait(futures.values(), timeout=self.budget_s)
        return {reference: _result(future) for reference, future in futures.items()}

    def _load_one(self, reference: str, stage_times: StageTimes) -> Pixels | Failure:
        try:
            with stage_times.measure("fetch"):
                data = self.fetcher.fetch(reference)
            with self.decoding, stage_times.measure("decode"):
                return self.decode(data, stage_times.count)
        except UnusablePhoto as error:
            return PhotoUnusable(error.reason, str(error))
        except Failure as error:
            return error


def _result(future: Future[Pixels | Failure]) -> Pixels | Failure:
    if future.done():
        return future.result()
    future.cancel()
    return PhotoUnavailable("photo_unavailable", "the time for the photos of a chunk ran out")
