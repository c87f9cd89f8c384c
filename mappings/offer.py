"""Offers: one keyword for what every answer needs of a listing, and the price steps in it."""

from __future__ import annotations

import math
from typing import Final

STEP: Final = 1.25
"""The ratio of neighbouring price steps. Bounds that are rounded to steps are shared by many searches, and
a shared filter costs a quarter of one of its own (docs/decisions/153-price-band.md)."""


def price_step(price: float) -> int:
    """Return the step of a price above 0: step n holds the prices from 1.25ⁿ up to 1.25ⁿ⁺¹."""
    return math.floor(math.log(price, STEP))


def step_start(step: int) -> float:
    """Return the lowest price of a step."""
    return float(STEP**step)


def offer(status: str, currency: str, step: int | None) -> str:
    """Return the keyword, such as `on_sale|JPY|38`; without a step, for what is free or has no price,
    `on_sale|JPY|unpriced`. Elasticsearch keeps the set of documents of each in its filter cache, so one term
    in a search stands for three filters."""
    return f"{offer_prefix(status, currency)}{'unpriced' if step is None else step}"


def offer_prefix(status: str, currency: str) -> str:
    """Return what all offers of a status and currency begin with."""
    return f"{status}|{currency}|"
