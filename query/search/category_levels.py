"""The levels of an item's category to search, from counts of each level's candidates.

Everything is searched, and the leaf. Where the leaf has few candidates, the best of the rest share only the
level above, and so on upward. The counts, under the filters of the request, are kept for a minute
(docs/decisions/150-knn-parameters.md).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from cachetools import TTLCache

from mappings.listing import ListingDocument, category_paths
from mappings.values import CATEGORY_SEPARATOR
from query.search.builder import Emphasis, Level, counted_filters, offers_body
from query.search.price_band import PriceBand
from query.search.ranking import Ranking, Weights
from query.search.reader import IndexReader, RequestDeadline
from query.search.request import SimilarRequest
from query.search.terms.category import Category
from query.search.terms.gender import Gender

CACHE_TTL_S: Final = 60.0
"""Seconds. A count that is a minute old changes how wide a search is: each has a whole window at least."""

MAX_CATEGORIES: Final = 3_000
"""Categories, each with a set of filters, whose counts are kept: of 5 KB each."""

LEARNED_ALIKE: Final = 0.5
"""The learned similarity from which on another category is searched like a level of the item's own."""

DEFAULT_EMPHASIS: Final = Emphasis()

ENOUGH: Final = 1_000
"""Candidates of a level above which no other level is searched but everything."""

Counts = Mapping[str, int]
"""Offer to the number of its documents."""

PathCounts = Mapping[str | None, Counts]
"""Category path, None for everything, to its counts."""


class CategoryCounts:
    """Counts of the categories of each index, under filters. Safe to share between threads."""

    def __init__(self, reader: IndexReader, clock: Callable[[], float] = time.monotonic) -> None:
        self._reader = reader
        self._cache: TTLCache[tuple[str, str, str | None], Counts] = TTLCache(
            MAX_CATEGORIES, CACHE_TTL_S, timer=clock
        )
        self._lock = threading.Lock()

    def of(
        self, index: str, item: ListingDocument, request: SimilarRequest, deadline: RequestDeadline
    ) -> PathCounts:
        """Return the counts of everything and of each level of the item's category under the request's
        filters; one round trip at most.

        Raises:
            NoLiveIndex, SearchUnavailable
        """
        paths, kept = (None, *category_paths(item.category)), counted_filters(request)
        keys = {path: (index, f"{item.currency} {kept}", path) for path in paths}
        with self._lock:
            found = {path: self._cache[key] for path, key in keys.items() if key in self._cache}
        missing = [path for path in paths if path not in found]
        if missing:
            bodies = [offers_body(path, item.currency, kept) for path in missing]
            answers = self._reader.search_all(index, bodies, deadline, copy=item.item_id)
            for path, answer in zip(missing, answers, strict=True):
                buckets = answer.aggregations["offers"]["buckets"]
                found[path] = {bucket["key"]: bucket["doc_count"] for bucket in buckets}
            with self._lock:
                self._cache.update({keys[path]: found[path] for path in missing})
        return found


def emphasis_of(
    item: ListingDocument, request: SimilarRequest, ranking: Ranking, weights: Weights, spread: float
) -> Emphasis:
    """Return what a ranking and a request say about where the best candidates are.

    weights: of the terms, on the scale of the cosine. spread: of the encoder's similarities.
    """
    step = weights[Category.name] / len(item.category)
    learned = ranking.learned.get(item.category, {})
    return Emphasis(
        # Sellers that are left out may have most of a level, and are not counted.
        category_leads=step >= spread and not request.exclude_seller,
        gender=weights[Gender.name] > 0,
        learned=tuple(
            CATEGORY_SEPARATOR.join(other) for other, share in learned.items() if share >= LEARNED_ALIKE
        ),
    )


def levels_of(
    item: ListingDocument, band: PriceBand, counts: PathCounts, emphasis: Emphasis = DEFAULT_EMPHASIS
) -> tuple[Level, ...]:
    """Return everything and the levels to search for one band, from the leaf upward."""
    offers = band.offers(item.currency)
    everything, *levels = [
        Level(path, _bound(counts[path], offers)) for path in (None, *category_paths(item.category))
    ]
    # A level is left out if all of the one above it are re-ranked anyway.
    above = [everything, *levels]
    levels = [each for each, outer in zip(levels, above, strict=False) if not outer.is_ranked_whole]
    enough = next((place for place, each in enumerate(levels[::-1]) if _has_enough(each)), None)
    if enough is not None and emphasis.category_leads:
        everything, levels = replace(everything, supplementary=True), levels[len(levels) - 1 - enough :]
    learned = () if everything.is_ranked_whole else map(Level, emphasis.learned)
    return (everything, *levels[::-1], *(same_gender(item, levels) if emphasis.gender else ()), *learned)


def _bound(counts: Counts, offers: Sequence[str]) -> int:
    """An upper bound on the candidates, with room for what was listed since they were counted."""
    return sum(counts.get(offer, 0) for offer in offers) * 11 // 10 + 10


def _has_enough(level: Level) -> bool:
    """Whether so many candidates share the level that none of the levels above can be among the best."""
    return level.max_candidates is not None and level.max_candidates > ENOUGH


def same_gender(item: ListingDocument, levels: Sequence[Level]) -> list[Level]:
    """Return the item's leaf with its gender, where too many are in the leaf to re-rank all.

    The gender term lifts candidates by two spreads, past more than the nearest of the whole leaf.
    """
    gender = item.attributes.get(Gender.attribute)
    if not levels or levels[-1].is_ranked_whole or not isinstance(gender, str):
        return []
    return [replace(levels[-1], attribute=f"{Gender.attribute}:{gender}")]
