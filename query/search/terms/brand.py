"""The brand."""

from __future__ import annotations

from query.search.terms.shared_attribute import SharedAttribute


class Brand(SharedAttribute):
    """The whole weight for the item's own brand."""

    name = "brand"
    attribute = "brand"
    weight = 0.0  # off until it is calibrated: the listings that the others were measured on have none
