"""Requests to the searches."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from mappings.listing import Status
from query.search.price_band import DEFAULT_RATIO

MAX_SIZE: Final = 100
DEFAULT_SIZE: Final = 24

MAX_RESULTS: Final = 10_000
"""Elasticsearch's index.max_result_window: what lies beyond takes a narrower search."""


@dataclass(frozen=True)
class SimilarRequest:
    """A request for similar items: how many, the price band, and the filters."""

    size: int = DEFAULT_SIZE
    price_ratio: float = DEFAULT_RATIO
    category: str | None = None
    """Only items below this path."""
    attribute: tuple[str, ...] = ()
    """Each `name:value`."""
    exclude_seller: tuple[str, ...] = ()
    explain: bool = False


@dataclass(frozen=True)
class VisitorRequest:
    """A visitor's request for similar items, who may be in experiments."""

    similar: SimilarRequest = SimilarRequest()
    user_id: str | None = field(default=None, repr=False)
    arm: tuple[str, ...] = ()
    """For testers: the arms to see, each `experiment:arm`."""


@dataclass(frozen=True)
class ListingsRequest:
    """A request for one page of listings, by the words of their titles."""

    q: str = ""
    category: str | None = None
    status: Status = Status.ON_SALE
    size: int = DEFAULT_SIZE
    page: int = 1
