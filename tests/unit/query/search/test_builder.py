"""The bodies that are sent to Elasticsearch, word for word."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mappings.listing import ListingDocument, Status
from query.search.builder import (
    EXACT_SEARCH_LIMIT,
    NEAREST_RANKED,
    RANKED_WHOLE,
    KnnParameters,
    Level,
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
BAND = PriceBand(ratio=2.0, first=30, last=32)
SKIRTS = "Apparel > Bottomwear > Skirts"


def make_query(
    *, item: ListingDocument | None = None, levels: tuple[Level, ...] = (Level(), Level(SKIRTS)), **asked: Any
) -> SimilarQuery:
    """A question about a skirt of 1,290 yen, with `asked` over the default parameters."""
    return SimilarQuery(
        item or make_document(),
        SimilarRequest(**asked),
        make_calibration(category=0.06, price=0.02),
        KnnParameters(k=150, num_candidates=300),
        levels,
    )


ALWAYS_FILTERED = [{"terms": {"offer": ["on_sale|JPY|30", "on_sale|JPY|31", "on_sale|JPY|32"]}}]


def knn(kept: list[dict[str, Any]]) -> dict[str, Any]:
    """One vector search of `make_query` under these filters."""
    return {
        "knn": {
            "field": "vector",
            "query_vector": (0.6, 0.8, 0.0, 0.0),
            "k": 150,
            "num_candidates": 300,
            "filter": kept,
            "boost": 2.0,
        }
    }


def test_one_search_holds_filters_and_ranking() -> None:
    """Every filter is inside knn; the functions of all ranking terms are around it, added."""
    calibration = make_calibration(category=0.06, price=0.02)
    assert len(calibration.functions(make_document(), with_vector=True)) >= 4
    in_leaf = [*ALWAYS_FILTERED, {"term": {"category_paths": SKIRTS}}]
    assert similar_body(make_query(), VECTOR, BAND) == {
        "query": {
            "function_score": {
                "query": {"dis_max": {"queries": [knn(ALWAYS_FILTERED), knn(in_leaf)]}},
                "functions": calibration.functions(make_document(), with_vector=True),
                "score_mode": "sum",
                "boost_mode": "sum",
            }
        },
        "sort": [{"_score": "desc"}, {"item_id": "asc"}],
        "size": 49,
        "track_total_hits": False,
        "docvalue_fields": [{"field": "vector", "format": "binary"}],
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
        "size": 49,
        "track_total_hits": False,
        "docvalue_fields": [{"field": "vector", "format": "binary"}],
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


def test_every_spelling_of_an_attribute_matches() -> None:
    """Where listings have several, one clause has them all."""
    query = make_query(
        attribute=("colour:Red",), spellings={"colour:Red": ("colour:Red", "colour:red", "colour:RED")}
    )
    assert filters(query, BAND) == [*ALWAYS_FILTERED, {"terms": {"attributes.colour": ["Red", "red", "RED"]}}]


@pytest.mark.parametrize(
    ("size", "depth", "k", "candidates", "window"),
    [
        (24, 2, 150, 300, 49),
        (100, 2, 201, 402, 201),  # a whole window
        (100, 12, 1201, 2402, 1201),
        (24, 12, 289, 578, 289),
        (3, 1.5, 150, 300, 6),
    ],
)
def test_searches_grow_with_the_answer(size: int, depth: float, k: int, candidates: int, window: int) -> None:
    """So does the window that the rules choose from; one place in it is for the item itself."""
    query = replace(make_query(size=size), depth=depth)
    first = similar_body(query, VECTOR, BAND)["query"]["function_score"]["query"]["dis_max"]["queries"][0]
    assert (first["knn"]["k"], first["knn"]["num_candidates"]) == (k, candidates)
    assert similar_body(query, VECTOR, BAND)["size"] == window


@pytest.mark.parametrize(
    ("max_candidates", "window", "expected"),
    [
        (None, 49, (150, 300)),
        (20, 49, (49, 49)),  # there may be more by now than were counted
        (60, 49, (60, 60)),  # all are re-ranked
        (RANKED_WHOLE, 49, (RANKED_WHOLE, RANKED_WHOLE)),
        (RANKED_WHOLE + 1, 49, (NEAREST_RANKED, RANKED_WHOLE + 1)),  # all are compared, the nearest re-ranked
        (EXACT_SEARCH_LIMIT, 289, (289, EXACT_SEARCH_LIMIT)),
        (EXACT_SEARCH_LIMIT + 1, 49, (150, 300)),
    ],
)
def test_where_few_can_match_all_are_compared(
    max_candidates: int | None, window: int, expected: tuple[int, int]
) -> None:
    """Elasticsearch compares all in a segment that has no more than `num_candidates` of them."""
    parameters = KnnParameters(150, 300).at(Level("Apparel", max_candidates), window)
    assert (parameters.k, parameters.num_candidates) == expected


def test_everything_is_searched_with_half_the_effort_where_a_level_has_enough() -> None:
    """It only adds the few that are nearer than the best of that level."""
    parameters = KnnParameters(50, 100).at(Level(supplementary=True), 49)
    assert parameters == KnnParameters(25, 50)


def test_a_floor_is_inside_the_search() -> None:
    """As a cosine, in every vector search; without one there is no such key."""
    query = replace(make_query(), floor=0.6)
    queries = similar_body(query, VECTOR, BAND)["query"]["function_score"]["query"]["dis_max"]["queries"]
    assert [each["knn"]["similarity"] for each in queries] == [0.6, 0.6]


def test_each_level_has_a_search_of_its_own() -> None:
    """With the filters of the request in every one."""
    query = make_query(levels=(Level(), Level(SKIRTS), Level("Apparel")), attribute=("colour:Red",))
    queries = similar_body(query, VECTOR, BAND)["query"]["function_score"]["query"]["dis_max"]["queries"]
    kept = [*ALWAYS_FILTERED, {"term": {"attributes.colour": "Red"}}]
    levels = [[], [{"term": {"category_paths": SKIRTS}}], [{"term": {"category_paths": "Apparel"}}]]
    assert queries == [knn([*kept, *level]) for level in levels]


def test_the_nearest_by_the_photo_alone_are_those_of_the_first_search() -> None:
    """The same knn clause without anything around it, and nothing of the documents but their ids."""
    assert nearest_body(make_query(), VECTOR, BAND) == {
        "query": {"dis_max": {"queries": [knn(ALWAYS_FILTERED)]}},
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
    }
