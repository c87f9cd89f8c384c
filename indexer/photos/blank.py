"""Photos that show nothing: a plain ground, a covered lens, or a faint watermark alone."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from indexer.errors import PhotoUnusable

BLANK: Final = "photo_blank"
LEAST_SPREAD: Final = 5.0
"""Standard deviation of levels, of 255. Of 8,730 real photos the least has 7.4; a covered lens has 1, a light
grey watermark on white 2.7 (docs/decisions/181-placeholder-photos.md)."""
LEAST_EDGES: Final = 16
"""Bits of the image hash that are set. The real photo with the fewest has 21, a grey watermark 15."""
MOST_COLOUR: Final = 30
"""Levels between the channels of the ground. A plain colour may be what is for sale: paint, cloth, paper."""


def blank_problem(pixels: NDArray[np.uint8], image_hash: str) -> PhotoUnusable | None:
    """Return the problem of pixels (h, w, 3) uint8 with this image hash that show nothing: a white, grey or
    black ground, at most with a faint watermark."""
    ground = np.median(pixels.reshape(-1, 3), axis=0)
    spread = float(pixels.std(axis=(0, 1)).max())
    edges = int(image_hash, 16).bit_count()
    if (spread >= LEAST_SPREAD and edges >= LEAST_EDGES) or np.ptp(ground) > MOST_COLOUR:
        return None
    found = f"found a plain ground (levels vary by {spread:.1f} of 255, {edges} edges)"
    return PhotoUnusable(BLANK, f"{found}; expected a photo of the item")
