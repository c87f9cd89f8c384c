"""What may stand for a listing with several photos, compared by exact search."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bench.drawn_photos import DrawnPhotos
from bench.photo_representations import KINDS
from bench.several_photos import found
from tests.factories import make_listing

LISTINGS = 40
KNN = {"knn": {"field": "vector", "query_vector": [1.0], "k": 50, "num_candidates": 100, "boost": 2.0}}
SEARCH = {
    "query": {"function_score": {"query": {"dis_max": {"queries": [KNN]}}}},
    "docvalue_fields": [{"field": "vector", "format": "binary"}],
}


def test_a_listing_is_found_by_its_second_photo_unless_the_first_stands_alone() -> None:
    """The photo asked about is like the second one, and a little like the first ones of all others."""
    axes = np.eye(3 * LISTINGS, dtype=np.float32).reshape(3, LISTINGS, -1)
    first, second, third = axes
    alike = second + 0.1 * (first.sum(axis=0) - first)
    photos = DrawnPhotos(first, (second, third), (alike, third))
    alone, mean, each = found([make_listing(item_id=f"m{n}") for n in range(LISTINGS)], photos)

    assert (alone.by_second, mean.by_second, each.by_second) == (0, 1, 1)
    assert [alone.ndcg, mean.ndcg, each.ndcg] == pytest.approx([1, 1, 1])  # all are of one kind


def test_nested_photos_are_searched_beside_the_first_one() -> None:
    """By the best photo of each listing, and among as many candidates as listings have photos."""
    searches = {kind.name: kind.search(SEARCH, 3) for kind in KINDS}

    nested = {
        "nested": {
            "path": "photos",
            "query": {
                "knn": {"field": "photos.vector", "query_vector": [1.0], "k": 50, "num_candidates": 300}
            },
            "score_mode": "max",
            "boost": 2.0,
        }
    }
    assert clauses(searches["first photo alone"]) == [KNN]
    assert clauses(searches["further photos nested"]) == [KNN, nested]
    assert clauses(searches["all photos nested"]) == [nested]
    assert "inner_hits" in clauses(searches["further photos nested, read by inner hits"])[1]["nested"]
    assert searches["a document a photo, collapsed"]["collapse"] == {"field": "item_id"}


def clauses(body: dict[str, Any]) -> list[dict[str, Any]]:
    """The vector searches in a body."""
    return list(body["query"]["function_score"]["query"]["dis_max"]["queries"])
