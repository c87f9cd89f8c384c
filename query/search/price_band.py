"""The band of prices around an item's own, and the wider bands to try when too few items remain.

Bounds are powers of 1.25, rounded outward, so items of similar prices share the same range, which
Elasticsearch answers from its filter cache. The cost is a band up to 25 % wider at either end than
requested (docs/decisions/153-price-band.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

BUCKET = 1.25

# Twice and half the price is what "about as much" is taken to mean; the paper leaves its threshold open.
# Each further step is about as much wider again, and at ten times the price the picture is all they share.
DEFAULT_RATIO = 2.0
WIDER_RATIOS = (2.0, 3.0, 5.0, 10.0)


@dataclass(frozen=True)
class PriceBand:
    """Prices from `low` to `high`, both included, in the currency of the item."""

    ratio: float
    low: float
    high: float

    def __contains__(self, price: float) -> bool:
        return self.low <= price <= self.high


def price_band(price: float, ratio: float) -> PriceBand:
    """The smallest band with bounds on buckets that holds `price / ratio` to `price * ratio`."""
    return PriceBand(ratio, _floor_bucket(price / ratio), _ceil_bucket(price * ratio))


def widening_bands(price: float, ratio: float) -> tuple[PriceBand, ...]:
    """The requested band, then every wider one to try, narrowest first."""
    wider = (step for step in WIDER_RATIOS if step > ratio)
    return tuple(price_band(price, step) for step in (ratio, *wider))


def _floor_bucket(price: float) -> float:
    exponent = math.floor(_exponent(price))
    return BUCKET**exponent if BUCKET**exponent <= price else BUCKET ** (exponent - 1)


def _ceil_bucket(price: float) -> float:
    exponent = math.ceil(_exponent(price))
    return BUCKET**exponent if BUCKET**exponent >= price else BUCKET ** (exponent + 1)


def _exponent(price: float) -> float:
    return math.log(price, BUCKET)
