"""What a new index must show before it goes live: that it has every listing, and answers as well.

Answers are plain searches by vector, without ranking: what changes with the encoder.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import nlargest
from itertools import chain
from pathlib import Path
from typing import Any, Final

import numpy as np
from elasticsearch import Elasticsearch
from numpy.typing import NDArray

from indexer.errors import UnreadableFile
from indexer.intake.submission import chunked
from mappings.any_photo import any_photo
from mappings.creation import FURTHER_PHOTOS
from mappings.failures import elasticsearch_errors
from mappings.inspection import index_vectors, only_index
from mappings.listing import Status
from mappings.scan import Hit, pages

K: Final = 24
CANDIDATES: Final = 200
"""The vectors that an approximate search compares: num_candidates of Elasticsearch."""
AT_ONCE: Final = 20
"""Searches in one request."""
QUERIES: Final = 200
"""Listings whose answers are compared."""
LEAST_RECALL: Final = 0.9
"""Of the approximate search, against the exact one. Where the index type is quantised, it is 0.91 to 0.99
(docs/decisions/002-vector-index-type.md)."""
EXAMPLES: Final = 5
SAME: Final = 1e-5
"""Cosines that differ by less are the same; scores are float32."""

ON_SALE: Final[Mapping[str, Any]] = {
    "bool": {"filter": [{"term": {"status": Status.ON_SALE.value}}, {"exists": {"field": "vector"}}]}
}


@dataclass(frozen=True)
class Gate:
    """One of the conditions, with its figure."""

    name: str
    figure: str
    passes: bool | None
    """None if it is only shown, or was not measured."""


@dataclass
class Coverage:
    """Which listings of the old index the new one has."""

    listings: int = 0
    missing: list[str] = field(default_factory=list)
    """Items without a document."""
    unencoded: Counter[str] = field(default_factory=Counter)
    """By reason, items that have a vector in the old index alone."""

    @property
    def encoded(self) -> int:
        """Items with a vector in the old index that have one in the new one too."""
        return self.listings - len(self.missing) - self.unencoded.total()


def coverage(es: Elasticsearch, source: str, target: str) -> Coverage:
    """Compare two indices, item by item, in constant memory but for what is missing."""
    found = Coverage()
    old = _in_order(es, source)
    first = next(old, None)
    # Read from a later moment than the old index, which would otherwise have what was listed in between.
    new = _in_order(es, target)
    other: Hit | None = next(new, None)
    for hit in chain([first] if first else [], old):
        item = hit["_source"]["item_id"]
        while other and other["_source"]["item_id"] < item:
            other = next(new, None)
        if not _is_encoded(hit):
            continue
        found.listings += 1
        if other is None or other["_source"]["item_id"] != item:
            found.missing.append(item)
        elif not _is_encoded(other) and other["_source"]["status"] != Status.REMOVED:
            found.unencoded[other["_source"].get("photo_problem", "unknown")] += 1
    return found


def _in_order(es: Elasticsearch, index: str) -> Iterator[Hit]:
    wanted = ["item_id", "status", "image_hash", "photo_problem"]
    everything: Mapping[str, Any] = {"match_all": {}}
    with elasticsearch_errors():
        for hits in pages(es, index, everything, sort=[{"item_id": "asc"}], fields=wanted):
            yield from hits


def _is_encoded(hit: Hit) -> bool:
    """Whether it has a vector: it has the hash of the photo then."""
    return "image_hash" in hit["_source"]


def coverage_gate(found: Coverage, most_rejected: float) -> Gate:
    """Every listing must be there, and all but a small share with a vector; the others have a reason."""
    share = found.encoded / found.listings if found.listings else 1.0
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in found.unencoded.most_common())
    figure = f"{share:.2%} of {found.listings:,}"
    if reasons:
        figure += f"; without a vector: {reasons}"
    if found.missing:
        figure += f"; missing: {len(found.missing):,}, such as {', '.join(found.missing[:EXAMPLES])}"
    named = found.unencoded["unknown"] == 0
    within = found.unencoded.total() <= most_rejected * found.listings
    return Gate("coverage", figure, not found.missing and named and within)


Answers = dict[str, list[tuple[str, float]]]
"""Item to the items of its answer, best first, each with its cosine."""


def queries(es: Elasticsearch, index: str, count: int = QUERIES) -> list[str]:
    """Return items for sale with a vector, the same ones each time, in no order that means anything."""
    with elasticsearch_errors():
        answer = es.search(
            index=index, query=ON_SALE, size=count, sort=[{"image_hash": "asc"}, {"item_id": "asc"}],
            source_includes=["item_id"],
        )  # fmt: skip
    return [hit["_source"]["item_id"] for hit in answer["hits"]["hits"]]


def vectors_of(es: Elasticsearch, index: str, items: Sequence[str]) -> dict[str, list[float]]:
    """Return the stored vectors of those items that have one."""
    found: dict[str, list[float]] = {}
    with elasticsearch_errors():
        for part in chunked(items, 500):
            query = {"terms": {"item_id": part}}
            for hits in pages(es, index, query, with_vectors=True, fields=["item_id", "vector"]):
                sources = (hit["_source"] for hit in hits)
                found |= {each["item_id"]: each["vector"] for each in sources if "vector" in each}
    return found


def approximate(es: Elasticsearch, index: str, vectors: Mapping[str, Sequence[float]]) -> Answers:
    """Return the nearest listings for sale of each item by the index's graphs."""
    answers: Answers = {}
    photos = index_vectors(only_index(es, index)[1]).photos
    for items in chunked(vectors, AT_ONCE):
        searches = [each for item in items for each in ({}, _nearest_by_graph(vectors[item], photos))]
        with elasticsearch_errors():
            found = es.msearch(index=index, searches=searches)["responses"]
        for item, answer in zip(items, found, strict=True):
            hits = [(hit["_id"], 2 * hit["_score"] - 1) for hit in answer["hits"]["hits"]]
            answers[item] = [hit for hit in hits if hit[0] != item][:K]
    return answers


def _nearest_by_graph(vector: Sequence[float], photos: int) -> dict[str, Any]:
    knn = {
        "field": "vector",
        "query_vector": list(vector),
        "k": K + 1,
        "num_candidates": CANDIDATES,
        "filter": {"term": {"status": Status.ON_SALE.value}},
    }
    searches = any_photo(knn, photos)
    return {"query": {"dis_max": {"queries": searches}}, "size": K + 1, "_source": False}


def exact(es: Elasticsearch, index: str, vectors: Mapping[str, Sequence[float]]) -> Answers:
    """Return the nearest listings for sale of each item by comparison with all of them, page by page."""
    matrix = np.asarray(list(vectors.values()), dtype=np.float32)
    best: list[list[tuple[float, str]]] = [[] for _ in vectors]
    with elasticsearch_errors():
        wanted = ["vector", f"{FURTHER_PHOTOS}.vector"]
        for hits in pages(es, index, ON_SALE, with_vectors=True, fields=wanted):
            ids = [hit["_id"] for hit in hits]
            for row, cosines in enumerate(_largest_cosines(matrix, hits)):
                best[row] = nlargest(K + 1, [*best[row], *_nearest(cosines, ids)])
    return {
        item: [(found, cosine) for cosine, found in ranked if found != item][:K]
        for item, ranked in zip(vectors, best, strict=True)
    }


def _largest_cosines(matrix: NDArray[np.float32], hits: Sequence[Hit]) -> NDArray[np.float32]:
    """Return (queries, hits) cosines, each with the photo of the hit that is most similar."""
    photos = [
        [hit["_source"]["vector"], *(each["vector"] for each in hit["_source"].get(FURTHER_PHOTOS, ()))]
        for hit in hits
    ]
    starts = np.cumsum([0, *map(len, photos)])[:-1]
    vectors = np.asarray([*chain.from_iterable(photos)], dtype=np.float32)
    return np.asarray(np.maximum.reduceat(matrix @ vectors.T, starts, axis=1))


def _nearest(cosines: NDArray[np.float32], ids: Sequence[str]) -> list[tuple[float, str]]:
    count = min(K + 1, len(ids))
    nearest = np.argpartition(-cosines, count - 1)[:count]
    return [(float(cosines[each]), ids[each]) for each in nearest]


def recall(found: Answers, wanted: Answers) -> float:
    """Return the mean share of the exact answers that was found; 1.0 without any.

    An item as near as the last exact one counts as well: of equal vectors, any may be found.
    """
    shares = []
    for item, exact_ones in wanted.items():
        if exact_ones:
            least = exact_ones[-1][1] - SAME
            near = sum(cosine >= least for _, cosine in found.get(item, ()))
            shares.append(min(near, len(exact_ones)) / len(exact_ones))
    return float(np.mean(shares)) if shares else 1.0


def recall_gate(found: Answers, wanted: Answers, least: float) -> Gate:
    """The approximate search of the new index must find most of what the exact one does."""
    share = recall(found, wanted)
    return Gate(f"recall@{K} of the graph", f"{share:.3f}, least {least:g}", share >= least)


def agreement(new: Answers, old: Answers) -> Gate:
    """How many items of the old answers are in the new ones; encoders may differ, so it is only shown."""
    shares = [
        len(set(_items(new[item])) & set(_items(old[item]))) / len(old[item])
        for item in new.keys() & old.keys()
        if old[item]
    ]
    figure = f"{np.mean(shares):.3f}" if shares else "none of the items is in both indices"
    return Gate(f"agreement@{K} with the old index", figure, None)


def _items(answer: Sequence[tuple[str, float]]) -> list[str]:
    return [item for item, _ in answer]


Judgments = dict[str, dict[str, float]]
"""Item to the gains of other items."""


def read_judgments(path: Path) -> Judgments:
    """Read a CSV file with the columns `query`, `item` and `gain`.

    Raises:
        UnreadableFile: it is none.
    """
    judged: Judgments = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for row in csv.DictReader(file):
                judged.setdefault(row["query"], {})[row["item"]] = float(row["gain"])
    except (OSError, UnicodeDecodeError, csv.Error, KeyError, TypeError, ValueError) as error:
        raise UnreadableFile(
            f"{path}: {type(error).__name__}: {error}; expected CSV with the columns query, item and gain"
        ) from error
    if not judged:
        raise UnreadableFile(f"{path}: found no row; expected CSV with the columns query, item and gain")
    return judged


def ndcg(answer: Sequence[str], gains: Mapping[str, float]) -> float:
    """Return nDCG@K of an answer, with gains as they are (Järvelin and Kekäläinen 2002)."""
    discounts = 1 / np.log2(np.arange(2, K + 2))
    found = [gains.get(item, 0.0) for item in answer[:K]]
    ideal = sorted(gains.values(), reverse=True)[:K]
    best = float(np.dot(ideal, discounts[: len(ideal)]))
    return float(np.dot(found, discounts[: len(found)])) / best if best else 0.0


def judgment_gate(new: Answers, old: Answers, judged: Judgments, tolerance: float) -> Gate:
    """The new index must answer judged items about as well as the old one."""
    items = sorted(new.keys() & old.keys() & judged.keys())
    name = f"nDCG@{K} on judgments"
    if not items:
        return Gate(name, "none of the judged items is in both indices", False)
    means = [
        float(np.mean([ndcg(_items(each[item]), judged[item]) for item in items])) for each in (new, old)
    ]
    figure = f"{means[0]:.3f}, old {means[1]:.3f}, over {len(items):,} items"
    return Gate(name, figure, means[0] >= means[1] - tolerance)
