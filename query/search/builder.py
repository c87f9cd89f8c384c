"""Elasticsearch search bodies, from plain values. No I/O and no client."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from mappings.listing import ListingDocument, Status
from query.search.price_band import PriceBand
from query.search.ranking import Calibration
from query.search.request import ListingsRequest, SimilarRequest
from query.search.terms.similarity import KNN_BOOST
from query.search.terms.term import Clause

MAX_CANDIDATES = 10_000  # Elasticsearch refuses more

_WITHOUT_VECTOR = {"excludes": ["vector"]}
_WITH_VECTOR = {"exclude_vectors": False}

# Elasticsearch breaks ties by where a document is stored, and each update stores it anew.
_BEST_FIRST = [{"_score": "desc"}, {"item_id": "asc"}]


@dataclass(frozen=True)
class KnnParameters:
    """`k` and `num_candidates` of each shard's search (docs/decisions/150-knn-parameters.md)."""

    k: int = 400
    """How many nearest vectors are re-ranked."""

    num_candidates: int = 800
    """How many vectors the graph search keeps while it looks for them."""


@dataclass(frozen=True)
class SimilarQuery:
    """A search for similar items: the item, the filters, and the ranking."""

    item: ListingDocument
    request: SimilarRequest
    calibration: Calibration
    knn: KnnParameters = KnnParameters()

    @property
    def k(self) -> int:
        """Number of nearest vectors of each shard to re-rank: at least twice as many as are shown."""
        return max(self.knn.k, 2 * self.request.size)

    @property
    def num_candidates(self) -> int:
        """Number of vectors that the graph search keeps: doubled for each filter that narrows the search."""
        narrowing = len(self.request.attribute) + (self.request.category is not None)
        wanted: int = max(self.knn.num_candidates, self.k) << narrowing
        return min(wanted, MAX_CANDIDATES)


def similar_body(query: SimilarQuery, vector: Sequence[float], band: PriceBand) -> Clause:
    """The one search for an item with a vector: the nearest vectors under the filters, re-ranked.

    Every filter is inside `knn`: one beside it would act after the vector search and leave answers short.
    Vectors are returned, because `_score` is a sum, and comes from quantised vectors if the index has them.
    """
    functions = query.calibration.functions(query.item, with_vector=True)
    body = _body(query, nearest(query, vector, band), functions)
    return body | {"sort": _BEST_FIRST, "_source": _WITH_VECTOR}


def nearest_body(query: SimilarQuery, vector: Sequence[float], band: PriceBand) -> Clause:
    """The search for the ids of the nearest vectors, by similarity alone: the window of the re-rank."""
    return {
        "query": nearest(query, vector, band),
        "sort": _BEST_FIRST,
        "size": query.k,
        "track_total_hits": False,
        "_source": False,
    }


def nearest(query: SimilarQuery, vector: Sequence[float], band: PriceBand) -> Clause:
    """The nearest vectors of each shard that pass the filters."""
    knn = {
        "field": "vector",
        "query_vector": list(vector),
        "k": query.k,
        "num_candidates": query.num_candidates,
        "filter": filters(query, band),
        "boost": KNN_BOOST,
    }
    return {"knn": knn}


def fallback_body(query: SimilarQuery, band: PriceBand) -> Clause:
    """The search for an item without a vector: its own category first, then its parents', newest first."""
    every = {"constant_score": {"filter": {"bool": {"filter": filters(query, band)}}, "boost": 0}}
    # If no function matches, or only functions of weight 0, Elasticsearch takes 1 for their sum. With 1 for
    # every document the scores are on the same scale as those of `similar_body`.
    functions = [*query.calibration.functions(query.item, with_vector=False), {"weight": 1}]
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
        "size": query.request.size,
        "track_total_hits": False,
    }


def filters(query: SimilarQuery, band: PriceBand) -> list[Clause]:
    """Filters of a candidate: for sale, in the item's currency and price band, another item, as requested."""
    asked = query.request
    return [
        {"term": {"status": Status.ON_SALE.value}},
        {"term": {"currency": query.item.currency}},
        {"range": {"price": {"gte": band.low, "lte": band.high}}},
        {"bool": {"must_not": [{"term": {"item_id": query.item.item_id}}]}},
        *_category_filter(asked.category),
        *(_attribute_filter(attribute) for attribute in asked.attribute),
        *_seller_filter(asked.exclude_seller),
    ]


def listings_body(request: ListingsRequest) -> Clause:
    """The search of the search box: every word in the title, newest first, with counts by category."""
    return {
        "query": {
            "bool": {
                "filter": [
                    {"term": {"status": request.status.value}},
                    *_category_filter(request.category),
                    *_title_filters(request.q),
                ]
            }
        },
        "aggs": {"categories": {"terms": {"field": "category_paths", "size": 500}}},
        "sort": [{"created_at": "desc"}, {"item_id": "asc"}],
        "from": (request.page - 1) * request.size,
        "size": request.size,
        "track_total_hits": True,
        "_source": _WITHOUT_VECTOR,
    }


ANY_LISTING: Final[Clause] = {"query": {"match_all": {}}, "size": 1, "_source": False}
"""The search for one listing, whichever it is."""


def _title_filters(words: str) -> list[Clause]:
    """A phrase filter for each word.

    Elasticsearch's standard analyzer splits kanji and hiragana into single characters, so a word of several
    is a phrase; a word of letters or katakana is a phrase of one. Words without a letter or digit, such as
    a dash, are not indexed and so are skipped.
    """
    return [_title_filter(word) for word in words.split() if any(map(str.isalnum, word))]


def _title_filter(word: str) -> Clause:
    """Match the word as typed, or with its full-width letters converted to ASCII."""
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
