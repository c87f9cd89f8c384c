"""Hits have one order, wherever they are stored."""

from __future__ import annotations

from typing import Any

from mappings.scan import in_order


def hit(moment: int, name: str, place: int) -> dict[str, Any]:
    return {"_id": name, "sort": [moment, place]}


def test_hits_of_one_moment_are_ordered_by_id_over_pages() -> None:
    """The last sort value, the position in the shard, does not count."""
    pages = [[hit(1, "b", 7), hit(2, "z", 1)], [hit(2, "a", 5), hit(2, "m", 6)], [hit(3, "a", 0)]]
    assert [found["_id"] for found in in_order(pages)] == ["b", "a", "m", "z", "a"]
    assert list(in_order([])) == []
