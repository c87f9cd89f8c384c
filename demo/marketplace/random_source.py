"""Random streams by key, so that listing n does not depend on the listings before it."""

import random
from enum import IntEnum

from console.number_types import WholeNumber


class Purpose(IntEnum):
    """What a stream decides; streams of different purposes are independent."""

    DESIGN = 1
    OFFER = 2
    LISTING = 3
    SELLER = 4
    PHOTO = 5
    LIKES_OF_DESIGN = 6
    LIKES_OF_LISTING = 7


SEED = WholeNumber(0, 2**63 - 1)
"""The option of a seed: Python folds negative seeds onto positive ones."""


def stream(seed: int, purpose: Purpose, number: int) -> random.Random:
    """Return a random stream that depends only on these three numbers."""
    return random.Random((seed << 64) | (int(purpose) << 56) | number)  # noqa: S311 (drawings, not secrets)
