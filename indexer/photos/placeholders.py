"""Placeholder photos ("no image", "coming soon"): those that many sellers use for many kinds of item."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from elasticsearch import Elasticsearch

from indexer.errors import PhotoUnusable
from indexer.photos.marks import Mark, MarkedBy, Marks, NoMarks, Verdict
from mappings.failures import elasticsearch_errors
from mappings.values import CATEGORY_SEPARATOR
from telemetry.logs import line

log = logging.getLogger(__name__)

PLACEHOLDER: Final = "photo_placeholder"
FEATURELESS: Final = "0" * 128
"""The image hash of any plain colour: it says nothing of the photo."""
COUNTED: Final = 100
"""Sellers and categories of a hash that are counted at most."""

HASHES: Final = ("image_hash", "further_hashes")
"""The fields of a document with the hashes of its photos."""

FEW: Final = {"execution_hint": "map"}
"""Without it, Elasticsearch numbers all values of the field again after each refresh."""


@dataclass(frozen=True)
class Usage:
    """Who uses the photos with one image hash, as far as counted."""

    sellers: frozenset[str] = frozenset()
    leaves: Mapping[str, int] = field(default_factory=dict)
    """Leaf categories, each with its listings."""
    recent_sellers: frozenset[str] = frozenset()
    """Those of listings that were created within the last hour."""

    def __or__(self, other: Usage) -> Usage:
        return Usage(
            self.sellers | other.sellers,
            Counter(self.leaves) + Counter(other.leaves),
            self.recent_sellers | other.recent_sellers,
        )

    def __str__(self) -> str:
        return f"{len(self.sellers)} sellers in {len(self.leaves)} categories"


def usage_by(fields: Mapping[str, Any]) -> Usage:
    """Return the usage of a photo by one listing, given its fields."""
    return Usage(frozenset({fields["seller_id"]}), {CATEGORY_SEPARATOR.join(fields["category"]): 1})


@dataclass(frozen=True)
class Placeholders:
    """Finds placeholders by how the listings that are indexed use them."""

    es: Elasticsearch
    marks: Marks = field(default_factory=NoMarks)
    sellers: int = 15
    """From so many sellers on, a photo is a placeholder unless most of its listings are in one leaf category,
    as those with a photo of the maker are; 0 for never."""

    def problems(self, indices: Sequence[str], uses: Mapping[str, Usage]) -> dict[str, PhotoUnusable]:
        """Return the problem of each image hash that is a placeholder.

        uses: the hashes of a chunk's photos, each with who uses it there.

        Raises:
            ElasticsearchUnavailable, RedisUnavailable: the counts or the marks cannot be read.
        """
        hashes = [each for each in uses if each != FEATURELESS]
        marks = self.marks.read(hashes)
        unknown = [each for each in hashes if each not in marks] if self.sellers else []
        counted = self.usage(indices, unknown)
        for image_hash in unknown:
            mark = self._mark(image_hash, uses[image_hash] | counted.get(image_hash, Usage()))
            if mark:
                marks[image_hash] = mark
        return {
            image_hash: PhotoUnusable(
                PLACEHOLDER, f"the photo with hash {image_hash} is a placeholder: {mark.why}"
            )
            for image_hash, mark in marks.items()
            if mark.verdict is Verdict.PLACEHOLDER
        }

    def usage(self, indices: Sequence[str], image_hashes: Sequence[str]) -> dict[str, Usage]:
        """Return who uses the photos with these hashes, of the listings that searches see.

        Raises:
            ElasticsearchUnavailable: it does not answer.
        """
        if not image_hashes:
            return {}
        with elasticsearch_errors():
            answer = self.es.search(
                index=list(indices),
                size=0,
                query=with_hash(image_hashes),
                aggs={name: hash_buckets(name, include=image_hashes) for name in HASHES},
                request_cache=False,
            )
        found: defaultdict[str, Usage] = defaultdict(Usage)
        for name in HASHES:
            for bucket in answer["aggregations"][name]["buckets"]:
                found[bucket["key"]] |= usage_in(bucket)
        return found

    def _mark(self, image_hash: str, usage: Usage) -> Mark | None:
        """Mark a hash that has become a placeholder, and raise the alarm about one that spreads."""
        if is_placeholder(usage, self.sellers):
            mark = Mark.now(Verdict.PLACEHOLDER, MarkedBy.WORKER, str(usage))
            self.marks.add(image_hash, mark)
            log.warning(line("placeholder_found", hash=image_hash, usage=usage))
            return mark
        if len(usage.recent_sellers) >= self.sellers and self.marks.is_first_alarm(image_hash):
            log.warning(line("photo_spreads", hash=image_hash, recent_sellers=len(usage.recent_sellers)))
        return None


def is_placeholder(usage: Usage, sellers: int) -> bool:
    """Return whether so many sellers use a photo for items of so many kinds that it shows none of them."""
    listings = sum(usage.leaves.values())
    return len(usage.sellers) >= sellers and 2 * max(usage.leaves.values()) <= listings


def with_hash(image_hashes: Collection[str]) -> dict[str, Any]:
    """Return the query for listings that have a photo with one of these hashes."""
    return {"bool": {"should": [{"terms": {name: list(image_hashes)}} for name in HASHES]}}


def hash_buckets(
    name: str, *, include: Sequence[str] | None = None, size: int | None = None
) -> dict[str, Any]:
    """Return the aggregation of listings by the image hashes in a field, with what `usage_in` reads.

    include: the hashes that are counted; None for the `size` most frequent ones.
    """
    sellers = {"terms": {"field": "seller_id", "size": COUNTED} | FEW}
    recent = {"filter": {"range": {"created_at": {"gte": "now-1h"}}}, "aggs": {"sellers": sellers}}
    paths = {"terms": {"field": "category_paths", "size": COUNTED} | FEW}
    chosen = {"size": size} if include is None else {"size": len(include), "include": list(include)}
    return {
        "terms": {"field": name} | chosen | FEW,
        "aggs": {"sellers": sellers, "paths": paths, "recent": recent},
    }


def usage_in(bucket: Mapping[str, Any]) -> Usage:
    """Return the usage of a hash in a bucket of an aggregation."""
    return Usage(
        _keys(bucket["sellers"]),
        leaves_of({each["key"]: each["doc_count"] for each in bucket["paths"]["buckets"]}),
        _keys(bucket["recent"]["sellers"]),
    )


def leaves_of(paths: Mapping[str, int]) -> dict[str, int]:
    """Return the paths of categories that no other one continues, with their counts."""
    inner = {path.rpartition(CATEGORY_SEPARATOR)[0] for path in paths}
    return {path: count for path, count in paths.items() if path not in inner}


def _keys(terms: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(bucket["key"] for bucket in terms["buckets"])
