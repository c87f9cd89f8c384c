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

SELLER_CAP: Final = 3
"""Items of one seller in an answer of DEFAULT_SIZE."""


@dataclass(frozen=True)
class ResultPolicy:
    """The rules by which the best candidates become an answer. docs/result-policy.md has their order."""

    collapse_duplicates: bool = True
    """Whether of several listings with nearly the same photo only the best is shown."""
    seller_cap: int = SELLER_CAP
    """How many items of one seller are shown at most; 0 for any number."""
    min_similarity: float | None = None
    """The least cosine with the item; None for that of the encoder, 0 for none."""
    diversity: float = 0.0
    """0 for the order of scores, 1 for items as unlike each other as can be."""
    attribute_boost: float = 1.0
    """The factor on the weights of gender, colour and brand."""
    freshness: float | None = None
    """The weight of new listings in spreads of similarity; None for that of the ranking."""
    popularity: float | None = None
    """The weight of popular listings, likewise."""

    @property
    def keeps_all(self) -> bool:
        """Whether the best candidates are shown as they are."""
        return (
            not (self.collapse_duplicates or self.seller_cap or self.diversity) and self.min_similarity == 0
        )


NO_RULES: Final = {"collapse_duplicates": False, "seller_cap": 0, "min_similarity": 0.0}
"""Rules under which the best candidates are shown as they are."""


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
