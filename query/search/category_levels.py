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
from query.search.builder import FEW, Level, offers_body, requested_filters
from query.search.price_band import PriceBand
from query.search.reader import IndexReader, RequestDeadline
from query.search.request import SimilarRequest
from query.search.terms.gender import Gender

KEPT_S: Final = 60.0
"""Seconds. A count that is a minute old only changes how wide a search is, never what may answer."""

MOST_COUNTS: Final = 10_000
"""Categories whose counts are kept."""

Counts = Mapping[str, int]
"""Offer to the number of its documents."""


class CategoryLevels:
    """The levels to search, from counts of each index. Safe to share between threads."""

    def __init__(self, reader: IndexReader, clock: Callable[[], float] = time.monotonic) -> None:
        self._reader = reader
        self._counts: TTLCache[tuple[str, str | None], Counts] = TTLCache(MOST_COUNTS, KEPT_S, timer=clock)
        self._lock = threading.Lock()

    def of(
        self,
        index: str,
        item: ListingDocument,
        request: SimilarRequest,
        band: PriceBand,
        deadline: RequestDeadline,
    ) -> tuple[Level, ...]:
        """Return everything and the levels to search, from the leaf upward.

        Raises:
            NoLiveIndex, SearchUnavailable
        """
        offers, filtered = band.offers(item.currency), bool(requested_filters(request))
        levels = []
        for path in (None, *category_paths(item.category)[::-1]):
            counts = self._of_path(index, path, deadline)
            at_most = sum(counts.get(offer, 0) for offer in offers)
            levels.append(Level(path, at_most))
            if path and at_most > FEW and not filtered:
                break
        return (*levels, *same_gender(item, levels[1]))

    def _of_path(self, index: str, path: str | None, deadline: RequestDeadline) -> Counts:
        with self._lock:
            kept = self._counts.get((index, path))
        if kept is None:
            buckets = self._reader.search(index, offers_body(path), deadline).aggregations["offers"][
                "buckets"
            ]
            kept = {bucket["key"]: bucket["doc_count"] for bucket in buckets}
            with self._lock:
                self._counts[index, path] = kept
        return kept


def same_gender(item: ListingDocument, leaf: Level) -> list[Level]:
    """Return the item's leaf with its gender, where too many are in the leaf to compare all.

    The gender term lifts candidates by two spreads, past more than the nearest of the whole leaf.
    """
    gender = item.attributes.get(Gender.attribute)
    if leaf.at_most is None or leaf.at_most <= FEW or not isinstance(gender, str):
        return []
    return [replace(leaf, attribute=f"{Gender.attribute}:{gender}")]
