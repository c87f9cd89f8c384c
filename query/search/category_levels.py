"""The levels of an item's category to search, from counts of each level's candidates.

Everything is searched, and the leaf. Where the leaf has few candidates, the best of the rest share only the
level above, and so on upward. The counts are kept for a minute. They are bounds for a request with filters of
its own, which searches every level (docs/decisions/150-knn-parameters.md).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from cachetools import TTLCache

from mappings.listing import ListingDocument, category_paths
from query.search.builder import EXACT_SEARCH_LIMIT, Level, offers_body, requested_filters
from query.search.price_band import PriceBand
from query.search.reader import IndexReader, RequestDeadline
from query.search.request import SimilarRequest
from query.search.terms.gender import Gender

CACHE_TTL_S: Final = 60.0
"""Seconds. A count that is a minute old only changes how wide a search is, never what may answer."""

MAX_CATEGORIES: Final = 10_000
"""Categories whose counts are kept."""

Counts = Mapping[str, int]
"""Offer to the number of its documents."""

PathCounts = Mapping[str | None, Counts]
"""Category path, None for everything, to its counts."""


class CategoryCounts:
    """Counts of the categories of each index. Safe to share between threads."""

    def __init__(self, reader: IndexReader, clock: Callable[[], float] = time.monotonic) -> None:
        self._reader = reader
        self._cache: TTLCache[tuple[str, str | None], Counts] = TTLCache(
            MAX_CATEGORIES, CACHE_TTL_S, timer=clock
        )
        self._lock = threading.Lock()

    def of(self, index: str, item: ListingDocument, deadline: RequestDeadline) -> PathCounts:
        """Return the counts of everything and of each level of the item's category; one round trip at most.

        Raises:
            NoLiveIndex, SearchUnavailable
        """
        paths = (None, *category_paths(item.category))
        with self._lock:
            found = {path: self._cache[index, path] for path in paths if (index, path) in self._cache}
        missing = [path for path in paths if path not in found]
        if missing:
            bodies = [offers_body(path) for path in missing]
            answers = self._reader.search_all(index, bodies, deadline, copy=item.item_id)
            for path, answer in zip(missing, answers, strict=True):
                buckets = answer.aggregations["offers"]["buckets"]
                found[path] = {bucket["key"]: bucket["doc_count"] for bucket in buckets}
            with self._lock:
                self._cache.update({(index, path): found[path] for path in missing})
        return found


def levels_of(
    item: ListingDocument, request: SimilarRequest, band: PriceBand, counts: PathCounts
) -> tuple[Level, ...]:
    """Return everything and the levels to search for one band, from the leaf upward."""
    offers, filtered = band.offers(item.currency), bool(requested_filters(request))
    levels = []
    for path in (None, *category_paths(item.category)[::-1]):
        candidates = sum(counts[path].get(offer, 0) for offer in offers)
        levels.append(Level(path, candidates))
        if path and candidates > EXACT_SEARCH_LIMIT and not filtered:
            break
    return (*levels, *same_gender(item, levels[1]))


def same_gender(item: ListingDocument, leaf: Level) -> list[Level]:
    """Return the item's leaf with its gender, where too many are in the leaf to compare all.

    The gender term lifts candidates by two spreads, past more than the nearest of the whole leaf.
    """
    gender = item.attributes.get(Gender.attribute)
    if leaf.is_compared_whole or not isinstance(gender, str):
        return []
    return [replace(leaf, attribute=f"{Gender.attribute}:{gender}")]
