"""Photos that show nothing: a plain ground, a covered lens, or a faint watermark alone."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from indexer.errors import PhotoUnusable

BLANK: Final = "photo_blank"
LEAST_SPREAD: Final = 5.0
"""Standard deviation of levels, of 255. Of 8,730 real photos the least has 7.4; a covered lens has 1, a light
grey watermark on white 2.7 (docs/decisions/181-placeholder-photos.md)."""
LEAST_EDGES: Final = 16
"""Bits of the image hash that are set. The real photo with the fewest has 21, a grey watermark 15."""
MOST_COLOUR: Final = 30
"""Levels between the channels of the ground. A plain colour may be what is for sale: paint, cloth, paper."""
LEVELS: Final = np.arange(256)


def blank_problem(pixels: NDArray[np.uint8], image_hash: str) -> PhotoUnusable | None:
    """Return the problem of pixels (h, w, 3) uint8 with this image hash that show nothing: a white, grey or
    black ground, at most with a faint watermark."""
    ground, spread = ground_and_spread(pixels)
    edges = int(image_hash, 16).bit_count()
    if (spread >= LEAST_SPREAD and edges >= LEAST_EDGES) or np.ptp(ground) > MOST_COLOUR:
        return None
    found = f"found a plain ground (levels vary by {spread:.1f} of 255, {edges} edges)"
    return PhotoUnusable(BLANK, f"{found}; expected a photo of the item")


def ground_and_spread(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.int64], float]:
    """The lower median of each channel, (3,) int64, and the largest standard deviation of one, in levels.

    From histograms, which takes a tenth of the time of NumPy's median and std over the pixels.
    """
    counts = np.reshape(Image.fromarray(pixels).histogram(), (3, len(LEVELS)))
    total = counts[0].sum()
    mean = counts @ LEVELS / total
    variance = counts @ LEVELS**2 / total - mean**2
    ground = (2 * counts.cumsum(axis=1) >= total).argmax(axis=1)
    return ground, math.sqrt(max(0.0, variance.max()))
