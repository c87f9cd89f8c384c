"""What a search is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from mappings.listing import Status
from query.search.price_band import DEFAULT_RATIO

MAX_SIZE: Final = 100
DEFAULT_SIZE: Final = 24

MAX_WEIGHT: Final = 10.0
"""The largest weight of a ranking term, in spreads of similarity, and the largest `attribute_boost`."""

MAX_RESULTS: Final = 10_000
"""Elasticsearch's index.max_result_window: what lies beyond takes a narrower search."""


@dataclass(frozen=True)
class SimilarRequest:
    """How many similar items, from which prices, under which filters and rules."""

    size: int = DEFAULT_SIZE
    price_ratio: float = DEFAULT_RATIO
    category: str | None = None
    """Only items below this path."""
    attribute: tuple[str, ...] = ()
    """Each `name:value`."""
    spellings: Mapping[str, tuple[str, ...]] = field(default_factory=dict, kw_only=True)
    """Attribute to all of its spellings, where listings have several."""
    explain_missing: tuple[str, ...] = field(default=(), kw_only=True)
    """Items of which the answer says where they are."""
    exclude_seller: tuple[str, ...] = ()
    explain: bool = False
    rules: Mapping[str, Any] = field(default_factory=dict)
    """The fields of the ResultPolicy that differ from the server's."""
    cursor: str | None = field(default=None, kw_only=True)
    """The `next_cursor` of the page before; None for the first."""


@dataclass(frozen=True)
class VisitorRequest:
    """A request for similar items by somebody who may be in experiments."""

    similar: SimilarRequest = SimilarRequest()
    user_id: str | None = field(default=None, repr=False)
    arm: tuple[str, ...] = ()
    """For testers: the arms to see, each `experiment:arm`."""


@dataclass(frozen=True)
class ListingsRequest:
    """One page of listings, by the words of their titles."""

    q: str = ""
    category: str | None = None
    status: Status = Status.ON_SALE
    size: int = DEFAULT_SIZE
    page: int = 1
