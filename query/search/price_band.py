"""The band of prices around an item's own, and the wider bands to try when too few items remain.

A band is made of whole price steps, rounded outward, so items of similar prices share the same offers, which
Elasticsearch answers from its filter cache. The cost is a band up to 25 % wider at either end than
requested (docs/decisions/153-price-band.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from mappings.listing import MAX_PRICE, MIN_PRICE, Status
from mappings.offer import offer, price_step, step_start

# Twice and half the price is what "about as much" is taken to mean; the paper leaves its threshold open.
# Each further step is about as much wider again, and at ten times the price the photo is all they share.
DEFAULT_RATIO = 2.0
WIDER_RATIOS = (2.0, 3.0, 5.0, 10.0)


@dataclass(frozen=True)
class PriceBand:
    """The price steps from `first` to `last`, both included."""

    ratio: float
    first: int
    last: int
    unpriced: bool = False
    """Whether what is free or has no price is in it, too."""

    @property
    def low(self) -> float:
        """The lowest price, included."""
        return step_start(self.first)

    @property
    def high(self) -> float:
        """The price at which it ends, excluded."""
        return step_start(self.last + 1)

    def __contains__(self, price: float | None) -> bool:
        return self.first <= price_step(price) <= self.last if price else self.unpriced

    def offers(self, currency: str) -> list[str]:
        """The offers that may be in an answer: what is for sale in the band."""
        steps = [*range(self.first, self.last + 1), *([None] if self.unpriced else [])]
        return [offer(Status.ON_SALE, currency, step) for step in steps]


ANY_PRICE: Final = PriceBand(math.inf, price_step(MIN_PRICE), price_step(MAX_PRICE), unpriced=True)
"""Everything for sale: no band for an item that is free or has no price, which no price is near."""


def price_band(price: float, ratio: float) -> PriceBand:
    """The narrowest band that holds `price / ratio` to `price * ratio`."""
    return PriceBand(ratio, price_step(price / ratio), price_step(price * ratio))


def widening_bands(price: float | None, ratio: float) -> tuple[PriceBand, ...]:
    """The requested band, then every wider one to try, narrowest first; ANY_PRICE alone without a price."""
    if not price:
        return (ANY_PRICE,)
    wider = (step for step in WIDER_RATIOS if step > ratio)
    return tuple(price_band(price, step) for step in (ratio, *wider))
