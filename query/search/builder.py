"""Elasticsearch search bodies, from plain values. No I/O and no client."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from mappings.any_photo import MAX_CANDIDATES, any_photo
from mappings.creation import FURTHER_PHOTOS
from mappings.listing import ListingDocument, Status
from mappings.offer import offer_prefix
from query.search.price_band import PriceBand
from query.search.ranking import Calibration
from query.search.request import ListingsRequest, SimilarRequest
from query.search.terms.similarity import KNN_BOOST
from query.search.terms.term import Clause

# Elasticsearch leaves the vector out of `_source`; as a binary doc value it is half as long. No other field
# is excluded: to leave one out takes Elasticsearch longer than to send it.
_VECTOR: Final = [{"field": "vector", "format": "binary"}]
_FURTHER_VECTORS: Final = [f"{FURTHER_PHOTOS}.vector"]
"""Those of nested photos, which have no doc values in an answer."""

# Elasticsearch breaks ties by where a document is stored, and each update stores it anew.
_BEST_FIRST: Final = [{"_score": "desc"}, {"item_id": "asc"}]


EXACT_SEARCH_LIMIT: Final = 5_000
"""The most candidates of a level that are all compared: more take longer than a search of the graph."""

RANKED_WHOLE: Final = 1_000
"""The most candidates of a level that are all re-ranked; of more, the nearest are."""

NEAREST_RANKED: Final = 200
"""Of a level that is compared but not re-ranked whole, the nearest that are re-ranked."""


@dataclass(frozen=True)
class Level:
    """A level of the item's category with a vector search of its own."""

    path: str | None = None
    """None for everything."""
    max_candidates: int | None = None
    """An upper bound on its candidates; None if it is unknown."""
    attribute: str | None = None
    """`name:value` that its candidates share with the item."""
    supplementary: bool = False
    """Whether another level has enough candidates to fill the answer."""

    @property
    def is_compared_whole(self) -> bool:
        """Whether all its candidates are compared with the item."""
        return self.max_candidates is not None and self.max_candidates <= EXACT_SEARCH_LIMIT

    @property
    def is_ranked_whole(self) -> bool:
        """Whether all its candidates are re-ranked."""
        return self.max_candidates is not None and self.max_candidates <= RANKED_WHOLE


@dataclass(frozen=True)
class KnnParameters:
    """`k` and `num_candidates` of a vector search in a shard (docs/decisions/150-knn-parameters.md)."""

    k: int = 50
    """The number of nearest vectors to re-rank: at least a whole window."""

    num_candidates: int = 100
    """The number of vectors that the search keeps in view in each segment: at least twice as many."""

    def at(self, level: Level, window: int) -> KnnParameters:
        """Return the parameters of a level for a window of candidates.

        A segment with no more than `num_candidates` that pass the filter is not searched by its graph:
        all of them are compared.
        """
        if level.is_compared_whole and level.max_candidates is not None:
            # A window at least, whatever the bound: there may be more by now than were counted.
            wanted = level.max_candidates if level.is_ranked_whole else NEAREST_RANKED
            k = max(wanted, window)
            return KnnParameters(k, max(k, level.max_candidates))
        share = 2 if level.supplementary else 1
        k = max(self.k, window) // share
        return KnnParameters(k, min(max(self.num_candidates // share, 2 * k), MAX_CANDIDATES))


@dataclass(frozen=True)
class Emphasis:
    """What the ranking and the request say about where the best candidates are."""

    category_leads: bool = True
    """Whether the best of a large level outrank nearly all that do not share it."""
    gender: bool = True
    """Whether the item's gender ranks."""
    learned: tuple[str, ...] = ()
    """Paths of other categories whose learned similarity to the item's is high."""


@dataclass(frozen=True)
class SimilarQuery:
    """A search for similar items: the item, what may answer, and how it is ranked."""

    item: ListingDocument
    request: SimilarRequest
    calibration: Calibration
    knn: KnnParameters = KnnParameters()
    levels: tuple[Level, ...] = (Level(),)
    """What is searched: everything, then the levels of the item's category from the leaf upward."""
    floor: float = 0.0
    """The least cosine of a hit; 0 for none, as in a first search, which counts what is below it."""
    depth: float = 2.0
    """Candidates for each item of the answer: more where the rules left too few of a first search."""
    shown_before: int = 0
    """Items on the pages before this one."""
    photos: int = 1
    """The number of first photos of a listing that have a vector each in the index."""
    emphasis: Emphasis = Emphasis()

    @property
    def wanted(self) -> int:
        """The number of items on this page and those before."""
        return self.shown_before + self.request.size

    @property
    def window(self) -> int:
        """The number of best candidates that the result policy chooses from.

        One more is for the item itself, which is among them: a filter that excluded it would never be cached.
        """
        return min(MAX_WINDOW, math.ceil(self.depth * self.wanted) + 1)


MAX_WINDOW: Final = 2_000
"""Candidates of one search, of 1 KB each."""


def similar_body(query: SimilarQuery, vector: Sequence[float], band: PriceBand) -> Clause:
    """The one search for an item with a vector: the nearest vectors that pass the filters, re-ranked.

    Every filter is inside `knn`: one beside it would act after the vector search and leave answers short.
    The category term adds a step for each level in common, so a search in each level brings exactly those
    that the search over everything would need a window of many hundreds to reach. A document found by several
    has the same score in all.
    """
    always = filters(query, band)
    searches = [each for level in query.levels for each in _searches(query, vector, always, level)]
    functions = query.calibration.functions(query.item, with_vector=True)
    body = _body({"dis_max": {"queries": searches}}, functions, query.window)
    further = {"fields": _FURTHER_VECTORS} if query.photos > 1 else {}
    return body | {"sort": _BEST_FIRST, "docvalue_fields": _VECTOR} | further


def nearest_body(query: SimilarQuery, vector: Sequence[float], band: PriceBand) -> Clause:
    """The search for the ids of the nearest vectors of all that pass the filters, by similarity alone."""
    everything = replace(query.levels[0], supplementary=False)
    return {
        "query": {"dis_max": {"queries": _searches(query, vector, filters(query, band), everything)}},
        "sort": _BEST_FIRST,
        "size": query.knn.at(everything, query.window).k,
        "track_total_hits": False,
        "_source": False,
    }


def _searches(
    query: SimilarQuery, vector: Sequence[float], always: Sequence[Clause], level: Level
) -> list[Clause]:
    """The searches for the nearest vectors of a level in each shard that pass the filters."""
    parameters = query.knn.at(level, query.window)
    knn = {
        "field": "vector",
        "query_vector": vector,
        "k": parameters.k,
        "num_candidates": parameters.num_candidates,
        "filter": [
            *always,
            *_category_filter(level.path),
            *([_attribute_filter(level.attribute)] if level.attribute else []),
        ],
        "boost": KNN_BOOST,
        **({"similarity": query.floor} if query.floor else {}),
    }
    return any_photo(knn, query.photos)


def fallback_body(query: SimilarQuery, band: PriceBand) -> Clause:
    """The search for an item without a vector: its own category first, then its parents', newest first."""
    every = {"constant_score": {"filter": {"bool": {"filter": filters(query, band)}}, "boost": 0}}
    # If no function matches, or only functions of weight 0, Elasticsearch takes 1 for their sum. With 1 for
    # every document the scores are on the same scale as those of `similar_body`.
    functions = [*query.calibration.functions(query.item, with_vector=False), {"weight": 1}]
    newest_first = [{"_score": "desc"}, {"created_at": "desc"}, {"item_id": "asc"}]
    body = _body(every, functions, query.window)
    return body | {"sort": newest_first, "docvalue_fields": _VECTOR}


def _body(matches: Clause, functions: list[Clause], size: int) -> Clause:
    return {
        "query": {
            "function_score": {
                "query": matches,
                "functions": functions,
                "score_mode": "sum",
                "boost_mode": "sum",
            }
        },
        "size": size,
        "track_total_hits": False,
    }


def filters(query: SimilarQuery, band: PriceBand) -> list[Clause]:
    """The filters on candidates: for sale in the item's currency and band, and as requested."""
    return [{"terms": {"offer": band.offers(query.item.currency)}}, *requested_filters(query.request)]


def requested_filters(request: SimilarRequest) -> list[Clause]:
    """The filters that a request asks for."""
    return [
        *_category_filter(request.category),
        *(_attribute_filter(request.spellings.get(each, (each,))) for each in request.attribute),
        *_seller_filter(request.exclude_seller),
    ]


def counted_filters(request: SimilarRequest) -> list[Clause]:
    """The filters that a request asks for, but for sellers, who have few of the candidates."""
    return requested_filters(replace(request, exclude_seller=()))


def offers_body(path: str | None, currency: str, kept: Sequence[Clause] = ()) -> Clause:
    """The search for the number of documents for sale by offer, of all or below a category, under filters."""
    for_sale = {"prefix": {"offer": offer_prefix(Status.ON_SALE, currency)}}
    return {
        "query": {"bool": {"filter": [*_category_filter(path), *kept, for_sale]}},
        "size": 0,
        "aggs": {"offers": {"terms": {"field": "offer", "size": MAX_OFFERS}}},
    }


MAX_OFFERS: Final = 1_000
"""A currency has about 150 price steps from 0.01 to 10¹²."""


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


def _attribute_filter(spellings: Sequence[str]) -> Clause:
    """Match any of the spellings of one `name:value`."""
    name = spellings[0].partition(":")[0]
    values = [each.partition(":")[2] for each in spellings]
    if len(values) == 1:
        return {"term": {f"attributes.{name}": values[0]}}
    return {"terms": {f"attributes.{name}": values}}


def _seller_filter(sellers: Sequence[str]) -> list[Clause]:
    return [{"bool": {"must_not": [{"terms": {"seller_id": list(sellers)}}]}}] if sellers else []
