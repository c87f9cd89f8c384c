"""Elasticsearch search bodies, from plain values. No I/O and no client."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from mappings.listing import ListingDocument, Status, category_paths
from query.api.parameters import ListingParameters, SimilarParameters
from query.search.price_band import PriceBand
from query.search.ranking import PRICE_HALF_DISTANCE, Calibration

Clause = dict[str, Any]

MAX_CANDIDATES = 10_000  # Elasticsearch refuses more

# Elasticsearch scores (1 + cosine) / 2; doubled, the sum of all terms is on the scale of the cosine.
_COSINE_BOOST = 2.0

# Of a candidate that only functions of weight 0 match Elasticsearch takes 1 for their sum. This one adds
# nothing to a score of 32 bits.
_LEAST_WEIGHT = 1e-9

_WITHOUT_VECTOR = {"excludes": ["vector"]}
_WITH_VECTOR = {"exclude_vectors": False}

# Elasticsearch breaks ties by where a document is stored, and each update stores it anew.
_BEST_FIRST = [{"_score": "desc"}, {"item_id": "asc"}]


@dataclass(frozen=True)
class Reach:
    """How far each shard's search goes. The defaults are measured in docs/decisions/150-search-reach.md."""

    window: int = 400
    """How many of the nearest pictures are re-ranked."""

    candidates: int = 800
    """How many the search of the graph keeps in view on its way there."""


@dataclass(frozen=True)
class SimilarQuery:
    """One question for similar items: the item asked about, what may answer, and how it is ranked."""

    item: ListingDocument
    parameters: SimilarParameters
    calibration: Calibration
    reach: Reach = Reach()

    @property
    def window(self) -> int:
        """How many of the nearest pictures of each shard are re-ranked: always far more than are shown."""
        return max(self.reach.window, 2 * self.parameters.size)

    @property
    def candidates(self) -> int:
        """How many the graph search keeps in view: doubled for each filter that narrows what may answer."""
        narrowing = len(self.parameters.attribute) + (self.parameters.category is not None)
        wanted: int = max(self.reach.candidates, self.window) << narrowing
        return min(wanted, MAX_CANDIDATES)


def similar_body(query: SimilarQuery, vector: Sequence[float], band: PriceBand) -> Clause:
    """The one search for an item with a vector: nearest pictures under the filters, re-ranked.

    Each filter is inside `knn`: one beside it would act after the vector search and leave answers short.
    The vectors come along, since `_score` is a sum, and from quantised vectors where the index has them.
    """
    functions = [*category_functions(query), price_function(query)]
    body = _body(query, nearest(query, vector, band), functions)
    return body | {"sort": _BEST_FIRST, "_source": _WITH_VECTOR}


def nearest_body(query: SimilarQuery, vector: Sequence[float], band: PriceBand) -> Clause:
    """The search for the ids of the window by the picture alone: what the re-rank starts from."""
    return {
        "query": nearest(query, vector, band),
        "sort": _BEST_FIRST,
        "size": query.window,
        "track_total_hits": False,
        "_source": False,
    }


def nearest(query: SimilarQuery, vector: Sequence[float], band: PriceBand) -> Clause:
    """The window: the nearest pictures of each shard that pass the filters."""
    knn = {
        "field": "vector",
        "query_vector": list(vector),
        "k": query.window,
        "num_candidates": query.candidates,
        "filter": filters(query, band),
        "boost": _COSINE_BOOST,
    }
    return {"knn": knn}


def fallback_body(query: SimilarQuery, band: PriceBand) -> Clause:
    """The search for an item without a vector: its own category first, then its parents', newest first."""
    every = {"constant_score": {"filter": {"bool": {"filter": filters(query, band)}}, "boost": 0}}
    # Where no weight matches, or only weights of 0, Elasticsearch takes 1 for their sum. With 1 for every
    # document the scores are on the same scale as those of `similar_body`.
    functions = [*category_functions(query), {"weight": 1}]
    newest_first = [{"_score": "desc"}, {"created_at": "desc"}, {"item_id": "asc"}]
    return _body(query, every, functions) | {"sort": newest_first, "_source": _WITHOUT_VECTOR}


def _body(query: SimilarQuery, matches: Clause, functions: list[Clause]) -> Clause:
    return {
        "query": {
            "function_score": {
                "query": matches,
                "functions": functions,
                "score_mode": "sum",
                "boost_mode": "sum",
            }
        },
        "size": query.parameters.size,
        "track_total_hits": False,
    }


def filters(query: SimilarQuery, band: PriceBand) -> list[Clause]:
    """What a candidate must be: for sale, in the item's currency and band, another item, as asked for."""
    asked = query.parameters
    return [
        {"term": {"status": Status.ON_SALE.value}},
        {"term": {"currency": query.item.currency}},
        {"range": {"price": {"gte": band.low, "lte": band.high}}},
        {"bool": {"must_not": [{"term": {"item_id": query.item.item_id}}]}},
        *_category_filter(asked.category),
        *(_attribute_filter(attribute) for attribute in asked.attribute),
        *_seller_filter(asked.exclude_seller),
    ]


def category_functions(query: SimilarQuery) -> list[Clause]:
    """A step of score for each level of the item's category that a candidate shares, root first."""
    paths = category_paths(query.item.category)
    step = query.calibration.category_step(len(paths))
    names = (f"category:{depth}" for depth in range(1, len(paths) + 1))
    return [
        {"filter": {"term": {"category_paths": {"value": path, "_name": name}}}, "weight": step}
        for path, name in zip(paths, names, strict=True)
    ]


def price_function(query: SimilarQuery) -> Clause:
    """Up to the whole price weight, the nearer the price. It matches every candidate."""
    price = query.item.price
    near = {"origin": price, "scale": price * PRICE_HALF_DISTANCE, "decay": 0.5}
    return {"gauss": {"price": near}, "weight": max(query.calibration.price_weight, _LEAST_WEIGHT)}


def listings_body(parameters: ListingParameters) -> Clause:
    """The search of the search box: every word in the title, newest first, with the categories there are."""
    return {
        "query": {
            "bool": {
                "filter": [
                    {"term": {"status": parameters.status.value}},
                    *_category_filter(parameters.category),
                    *_title_filters(parameters.q),
                ]
            }
        },
        "aggs": {"categories": {"terms": {"field": "category_paths", "size": 500}}},
        "sort": [{"created_at": "desc"}, {"item_id": "asc"}],
        "from": (parameters.page - 1) * parameters.size,
        "size": parameters.size,
        "track_total_hits": True,
        "_source": _WITHOUT_VECTOR,
    }


ANY_LISTING: Final[Clause] = {"query": {"match_all": {}}, "size": 1, "_source": False}
"""The search for one listing, whichever it is."""


def _title_filters(words: str) -> list[Clause]:
    """A phrase for each word.

    Elasticsearch's standard analyzer cuts kanji and hiragana into single characters, so that a word of
    several is a phrase; a word of letters or katakana is a phrase of one. What has neither letter nor digit,
    such as a dash, is in no title's index and so asks for nothing.
    """
    return [_title_filter(word) for word in words.split() if any(map(str.isalnum, word))]


def _title_filter(word: str) -> Clause:
    """The word as typed, or with the full-width letters of a Japanese keyboard made ordinary ones."""
    forms = dict.fromkeys((word, unicodedata.normalize("NFKC", word)))
    phrases = [{"match_phrase": {"title": form}} for form in forms]
    return phrases[0] if len(phrases) == 1 else {"bool": {"should": phrases}}


def _category_filter(path: str | None) -> list[Clause]:
    return [] if path is None else [{"term": {"category_paths": path}}]


def _attribute_filter(attribute: str) -> Clause:
    name, _, value = attribute.partition(":")
    return {"term": {f"attributes.{name}": value}}


def _seller_filter(sellers: Sequence[str]) -> list[Clause]:
    return [{"bool": {"must_not": [{"terms": {"seller_id": list(sellers)}}]}}] if sellers else []
