"""How a candidate's category and price are weighed against its picture.

A candidate's score is the sum of three terms on the scale of the cosine:

    score = similarity + category_term + price_term

The unit of both other terms is the encoder's `similarity_spread`: the standard deviation of the cosine
among an item's nearest hundred. So a weight of 1 can lift a candidate past those one deviation more
alike, whichever encoder made the vectors. On the scale of the cosine itself (or of Elasticsearch's
(1 + cosine) / 2, a band even narrower) a weight that suits one encoder drowns another's pictures.

These functions are what `query.search.builder` sends to Elasticsearch and what explains its answers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mappings.identity import EncoderIdentity

# Both measured in docs/decisions/151-ranking-weights.md.
CATEGORY_SPREADS = 2.0
PRICE_SPREADS = 0.25

# Half the price term is left for a candidate that costs half as much more or less.
PRICE_HALF_DISTANCE = 0.5


@dataclass(frozen=True)
class Weights:
    """What category and price weigh, in the encoder's spreads of similarity."""

    category: float = CATEGORY_SPREADS
    price: float = PRICE_SPREADS


DEFAULT_WEIGHTS = Weights()


@dataclass(frozen=True)
class Calibration:
    """The weights for one encoder, on the scale of the cosine."""

    category_weight: float
    price_weight: float

    @classmethod
    def of(cls, encoder: EncoderIdentity, weights: Weights = DEFAULT_WEIGHTS) -> Calibration:
        """The weights for an encoder, from the spread that its index remembers."""
        spread = encoder.similarity_spread
        return cls(round(weights.category * spread, 6), round(weights.price * spread, 6))

    def category_step(self, depth: int) -> float:
        """What each level in common adds, where the item's own path is `depth` levels deep.

        All levels together give the whole weight: quantised into as many values as the path has levels.
        """
        return round(self.category_weight / depth, 6)

    def category_term(self, shared: int, depth: int) -> float:
        """What `shared` levels in common, of the item's own `depth`, add to a score."""
        return shared * self.category_step(depth)

    def price_term(self, price: float, candidate_price: float) -> float:
        """What the candidate's price adds: the whole weight at the item's own price, less further off."""
        distance = abs(candidate_price - price) / (price * PRICE_HALF_DISTANCE)
        return self.price_weight * math.pow(0.5, distance**2)


def cosine(vector: Sequence[float], other: Sequence[float]) -> float:
    """The cosine of two vectors, from -1 to 1: rounding takes it no further.

    By the law of cosines: `math` has no dot product before Python 3.12, and its distance is computed in C.
    """
    a, b = math.hypot(*vector), math.hypot(*other)
    value = (a * a + b * b - math.dist(vector, other) ** 2) / (2 * a * b)
    return min(1.0, max(-1.0, value))


def shared_depth(path: Sequence[str], other: Sequence[str]) -> int:
    """How many levels two categories have in common, counted from the root."""
    depth = 0
    for name, other_name in zip(path, other, strict=False):
        if name != other_name:
            break
        depth += 1
    return depth
