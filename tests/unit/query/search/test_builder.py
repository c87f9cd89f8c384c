"""The bodies that are sent to Elasticsearch, word for word."""

from __future__ import annotations

from typing import Any

import pytest

from mappings.listing import ListingDocument, Status
from query.search.builder import (
    MAX_CANDIDATES,
    KnnParameters,
    SimilarQuery,
    fallback_body,
    filters,
    listings_body,
    nearest_body,
    similar_body,
)
from query.search.price_band import PriceBand
from query.search.request import ListingsRequest, SimilarRequest
from tests.factories import make_calibration, make_document

VECTOR = (0.6, 0.8, 0.0, 0.0)
BAND = PriceBand(ratio=2.0, low=500.0, high=3000.0)


def make_query(*, item: ListingDocument | None = None, **asked: Any) -> SimilarQuery:
    """A question about a skirt of 1,290 yen, with `asked` over the default parameters."""
    return SimilarQuery(
        item or make_document(),
        SimilarRequest(**asked),
        make_calibration(category=0.06, price=0.02),
        KnnParameters(k=150, num_candidates=300),
    )


ALWAYS_FILTERED = [
    {"term": {"status": "on_sale"}},
    {"term": {"currency": "JPY"}},
    {"range": {"price": {"gte": 500.0, "lte": 3000.0}}},
    {"bool": {"must_not": [{"term": {"item_id": "m1"}}]}},
]


def test_one_search_holds_filters_and_ranking() -> None:
    """Every filter is inside knn; the functions of all ranking terms are around it, added."""
    calibration = make_calibration(category=0.06, price=0.02)
    assert len(calibration.functions(make_document(), with_vector=True)) >= 4
    assert similar_body(make_query(), VECTOR, BAND) == {
        "query": {
            "function_score": {
                "query": {
                    "knn": {
                        "field": "vector",
                        "query_vector": [0.6, 0.8, 0.0, 0.0],
                        "k": 150,
                        "num_candidates": 300,
                        "filter": ALWAYS_FILTERED,
                        "boost": 2.0,
                    }
                },
                "functions": calibration.functions(make_document(), with_vector=True),
                "score_mode": "sum",
                "boost_mode": "sum",
            }
        },
        "sort": [{"_score": "desc"}, {"item_id": "asc"}],
        "size": 24,
        "track_total_hits": False,
        "_source": {"exclude_vectors": False},
    }


def test_a_fallback_goes_by_category_then_by_date() -> None:
    """Without a vector the same filters and the category decide, then the newest."""
    calibration = make_calibration(category=0.06, price=0.02)
    assert fallback_body(make_query(), BAND) == {
        "query": {
            "function_score": {
                "query": {"constant_score": {"filter": {"bool": {"filter": ALWAYS_FILTERED}}, "boost": 0}},
                "functions": [*calibration.functions(make_document(), with_vector=False), {"weight": 1}],
                "score_mode": "sum",
                "boost_mode": "sum",
            }
        },
        "sort": [{"_score": "desc"}, {"created_at": "desc"}, {"item_id": "asc"}],
        "size": 24,
        "track_total_hits": False,
        "_source": {"excludes": ["vector"]},
    }


def test_every_filter_asked_for_is_added() -> None:
    """Category, attributes and sellers narrow what may answer."""
    query = make_query(
        category="Apparel > Bottomwear", attribute=("colour:Red", "size:M:L"), exclude_seller=("s1", "s2")
    )
    assert filters(query, BAND) == [
        *ALWAYS_FILTERED,
        {"term": {"category_paths": "Apparel > Bottomwear"}},
        {"term": {"attributes.colour": "Red"}},
        {"term": {"attributes.size": "M:L"}},
        {"bool": {"must_not": [{"terms": {"seller_id": ["s1", "s2"]}}]}},
    ]


@pytest.mark.parametrize(
    ("asked", "candidates"),
    [
        ({}, 300),
        ({"category": "Apparel"}, 600),
        ({"category": "Apparel", "attribute": ("colour:Red",)}, 1200),
        ({"exclude_seller": ("s1",)}, 300),  # one seller's listings are few: it narrows nothing
        ({"attribute": tuple(f"a{number}:b" for number in range(10))}, MAX_CANDIDATES),
    ],
)
def test_narrow_filters_keep_more_candidates_in_view(asked: dict[str, Any], candidates: int) -> None:
    """Each narrowing filter doubles them, up to what Elasticsearch takes."""
    assert make_query(**asked).num_candidates == candidates


def test_the_window_is_always_larger_than_the_answer() -> None:
    """A hundred items asked for are ranked among two hundred."""
    assert (make_query(size=100).k, make_query(size=100).num_candidates) == (200, 300)


def test_the_window_by_picture_alone_is_the_one_that_is_ranked() -> None:
    """The same knn clause without anything around it, and nothing of the documents but their ids."""
    ranked = similar_body(make_query(), VECTOR, BAND)["query"]["function_score"]["query"]
    assert nearest_body(make_query(), VECTOR, BAND) == {
        "query": ranked,
        "sort": [{"_score": "desc"}, {"item_id": "asc"}],
        "size": 150,
        "track_total_hits": False,
        "_source": False,
    }


def test_words_are_searched_as_typed_and_as_meant() -> None:
    """Full-width letters find ordinary ones too; a dash between words asks for nothing."""
    filters = listings_body(ListingsRequest(q="Ｔシャツ – vase"))["query"]["bool"]["filter"]
    assert filters[1:] == [
        {
            "bool": {
                "should": [{"match_phrase": {"title": "Ｔシャツ"}}, {"match_phrase": {"title": "Tシャツ"}}]
            }
        },
        {"match_phrase": {"title": "vase"}},
    ]


def test_listings_are_searched_word_by_word_newest_first() -> None:
    """All words must be in the title; the categories come back with their counts."""
    parameters = ListingsRequest(
        q="赤い スカート", category="Apparel", status=Status.SOLD_OUT, size=10, page=3
    )
    assert listings_body(parameters) == {
        "query": {
            "bool": {
                "filter": [
                    {"term": {"status": "sold_out"}},
                    {"term": {"category_paths": "Apparel"}},
                    {"match_phrase": {"title": "赤い"}},
                    {"match_phrase": {"title": "スカート"}},
                ]
            }
        },
        "aggs": {"categories": {"terms": {"field": "category_paths", "size": 500}}},
        "sort": [{"created_at": "desc"}, {"item_id": "asc"}],
        "from": 20,
        "size": 10,
        "track_total_hits": True,
        "_source": {"excludes": ["vector"]},
    }
