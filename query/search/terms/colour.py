"""The colour that the seller names."""

from __future__ import annotations

from query.search.terms.shared_attribute import SharedAttribute


class Colour(SharedAttribute):
    """The whole weight for the item's own colour."""

    name = "colour"
    attribute = "colour"
    weight = 0.25  # measured in docs/decisions/151-ranking-weights.md
