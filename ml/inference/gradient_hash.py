"""A perceptual hash by which near-identical photos are found."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 16
LEVEL = 3
"""Grey levels of 255 by which a cell differs from its left neighbour: noise is less."""


def gradient_hash(pixels: NDArray[np.uint8]) -> str:
    """The 512-bit hash of pixels (h, w, 3) uint8 as 128 hex digits.

    The first half says which cells of a grid of 16 rows and 17 columns of grey are brighter than their left
    neighbour, the second half which are darker. Plain ground sets no bit, so photos are compared by the bits
    that are set: of different products on one white ground few are, and a 64-bit difference hash calls them
    near-identical a hundred times as often (docs/decisions/158-near-identical-photos.md).
    """
    grid = Image.fromarray(pixels).convert("L").resize((SIDE + 1, SIDE), Image.Resampling.BOX)
    steps = np.diff(np.asarray(grid).astype(np.int16), axis=1)
    return np.packbits([steps > LEVEL, steps < -LEVEL]).tobytes().hex()
