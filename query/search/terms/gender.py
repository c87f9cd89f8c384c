"""For whom a product is made, which its photo does not always show."""

from __future__ import annotations

from query.search.terms.shared_attribute import SharedAttribute


class Gender(SharedAttribute):
    """The whole weight for the item's own gender."""

    name = "gender"
    attribute = "gender"
    weight = 2.0  # measured in docs/decisions/151-ranking-weights.md
