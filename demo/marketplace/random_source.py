"""Random streams by key, so that listing n does not depend on the listings before it."""

import random
from enum import IntEnum


class Purpose(IntEnum):
    """What a stream decides; streams of different purposes are independent."""

    DESIGN = 1
    OFFER = 2
    LISTING = 3
    SELLER = 4
    PHOTO = 5


class UnusableSeed(ValueError):
    """The seed is outside what a stream can be keyed by."""


SEED_LIMIT = 2**63


def check_seed(seed: int) -> int:
    """The seed itself.

    Raises UnusableSeed unless 0 <= seed < 2**63: Python folds negative seeds onto positive ones.
    """
    if not 0 <= seed < SEED_LIMIT:
        raise UnusableSeed(f"seed {seed} found, expected 0 <= seed < 2**63; choose another")
    return seed


def stream(seed: int, purpose: Purpose, number: int) -> random.Random:
    """A random stream that depends only on these three numbers."""
    return random.Random((seed << 64) | (int(purpose) << 56) | number)  # noqa: S311 (drawings, not secrets)
