"""How many listings can be found by photo, as `/readyz` tells it."""

from __future__ import annotations

from query.api.responses import coverage


def test_coverage_is_a_share_of_what_is_for_sale() -> None:
    """Of nothing there is no share."""
    assert coverage(3, 2).model_dump() == {"on_sale": 3, "with_vector": 0.6667}
    assert coverage(0, 0).with_vector is None
