"""The rules of an answer and their defaults. `policy` applies them; docs/result-policy.md has their order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SELLER_CAP: Final = 3
"""Items of one seller in an answer of DEFAULT_SIZE."""


@dataclass(frozen=True)
class ResultPolicy:
    """The rules by which the best candidates become an answer."""

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
