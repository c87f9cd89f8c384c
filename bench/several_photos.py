"""How listings with several photos are found: `python -m bench.several_photos --help`.

Each real listing has three photos, two of them drawn from the first (`bench.drawn_photos`). The first lines
compare what may stand for a listing, by exact search: its first photo, the mean of the three, or any of them.
The others compare how Elasticsearch can hold one vector a photo, with the first search that the service sends
for each item: latency in one run, overlap with the exact answer, and bytes.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from elasticsearch import Elasticsearch
from numpy.typing import NDArray

from bench.catalogue import Catalogue, Vectors, loaded
from bench.drawn_photos import DrawnPhotos, draw
from bench.photo_representations import FIRST, KINDS, Body, index_of
from bench.query import RATIOS, Oracle, RecordingReader
from bench.served import SIZE
from mappings.client import ElasticsearchSettings, connect
from mappings.creation import IndexOptions
from mappings.identity import EncoderIdentity
from mappings.listing import Listing, parse_listing
from ml.artifact import DEFAULT_ARTIFACT
from ml.metrics.ranking import mean, ndcg_at_k
from query.search.request import SimilarRequest
from query.search.result_policy import NO_RULES
from query.search.similar import SimilarService

# What stands for a listing, compared exactly.


@dataclass(frozen=True)
class Found:
    """How well listings are found by one kind of vector. Shares from 0 to 1."""

    vectors: str
    by_second: float
    """Of photos like the second one of a listing, those that have it among the 24 most similar."""
    by_third: float
    ndcg: float
    """Of the 24 most similar, by type, gender and colour; the query is the listing's own vector."""


def found(listings: Sequence[Listing], photos: DrawnPhotos) -> list[Found]:
    """Compare the first photo, the mean of all, and any of them."""
    every = (photos.first, *photos.further)
    mean_of = _units(np.sum(every, axis=0))
    ways: Mapping[str, tuple[Vectors, tuple[Vectors, ...]]] = {
        "first photo": (photos.first, (photos.first,)),
        "mean of 3": (mean_of, (mean_of,)),
        "any of 3": (photos.first, every),
    }
    rows = []
    for name, (own, stored) in ways.items():
        second, third = (_share_found(queries, stored) for queries in photos.alike)
        asked = len(photos.alike[0])
        rows.append(Found(name, second, third, _ndcg(listings, largest_cosines(own[:asked], stored))))
    return rows


def largest_cosines(queries: Vectors, photos: Sequence[Vectors]) -> Vectors:
    """(q, n) largest cosine of each query (q, dims) with the photos of each of n listings, (n, dims) each."""
    return np.asarray(np.max([queries @ each.T for each in photos], axis=0))


def _share_found(queries: Vectors, photos: Sequence[Vectors]) -> float:
    """The share of queries whose listing, of the same row, is among the most similar."""
    cosines = largest_cosines(queries, photos)
    own = cosines[np.arange(len(queries)), np.arange(len(queries))]
    return float(((cosines > own[:, None]).sum(axis=1) < SIZE).mean())


def _ndcg(listings: Sequence[Listing], cosines: Vectors) -> float:
    gains = _gains(listings, len(cosines))
    rows = np.arange(len(cosines))
    cosines[rows, rows] = -1  # the listing itself is no answer
    gains[rows, rows] = 0
    best = np.argsort(-cosines, axis=1, kind="stable")[:, :SIZE]
    return mean(ndcg_at_k(np.take_along_axis(gains, best, axis=1), gains, SIZE))


def _gains(listings: Sequence[Listing], asked: int) -> NDArray[np.float64]:
    """(asked, n): 1 for the same leaf category, 2 with the same gender, 3 with the same colour as well."""
    leaf, gender, colour = (
        np.array(each)[:asked, None] == np.array(each)[None]
        for each in (
            [listing.category[-1] for listing in listings],
            [str(listing.attributes.get("gender")) for listing in listings],
            [str(listing.attributes.get("colour")) for listing in listings],
        )
    )
    return np.asarray(leaf * (1.0 + gender * (1.0 + colour)))


def _units(vectors: Vectors) -> Vectors:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


# How Elasticsearch can hold one vector a photo.


@dataclass
class Measured:
    """The figures of one representation."""

    name: str
    bytes: int
    times_ms: list[float] = field(default_factory=list)
    overlaps: list[float] = field(default_factory=list)

    def add(self, seconds: float, overlap: float) -> None:
        """Add an answer: its time, and the share of the exact answer in it."""
        self.times_ms.append(1000 * seconds)
        self.overlaps.append(overlap)

    def figures(self) -> dict[str, Any]:
        """The figures as JSON values."""
        p50, p95 = np.percentile(self.times_ms, [50, 95]).round(2).tolist()
        overlap = round(float(np.mean(self.overlaps)), 4)
        return {"name": self.name, "p50_ms": p50, "p95_ms": p95, "overlap": overlap, "bytes": self.bytes}


def measured(
    es: Elasticsearch, prefix: str, catalogue: Catalogue, photos: DrawnPhotos, items: int
) -> list[Measured]:
    """Measure every representation with the same searches, in turn."""
    oracle = Oracle(catalogue.listings, photos.first, catalogue.encoder)
    rows = np.random.default_rng(0).permutation(np.flatnonzero(oracle.on_sale))[:items].tolist()
    every = (photos.first, *photos.further)
    with ExitStack() as stack:
        stack.enter_context(loaded(es, prefix, catalogue, IndexOptions(replicas=0)))
        searches = searches_of(es, prefix, [oracle.ids[row] for row in rows])
        indices = [stack.enter_context(index_of(es, prefix, each, catalogue, photos)) for each in KINDS]
        results = [Measured(each.name, _bytes(es, index)) for each, index in zip(KINDS, indices, strict=True)]
        for counted in (False, True, True):  # searches get faster while Java compiles them
            for row, body in zip(rows, searches, strict=True):
                for kind, index, result in zip(KINDS, indices, results, strict=True):
                    search = kind.search(body, len(every))
                    started = time.perf_counter()
                    hits = es.search(index=index, body=search)["hits"]["hits"]
                    took = time.perf_counter() - started
                    if counted:
                        exact = _exact(oracle, row, every[:1] if kind is FIRST else every)
                        answer = [
                            name for hit in hits if (name := hit["_source"]["item_id"]) != oracle.ids[row]
                        ]
                        result.add(took, len(set(exact) & set(answer[:SIZE])) / max(1, len(exact)))
    return results


def _overlap(exact: Sequence[str], hits: Sequence[Body], item_id: str) -> float:
    """The share of the exact answer that a search has, without the item itself."""
    names = [hit["_source"]["item_id"] for hit in hits]
    answer = [name for name in names if name != item_id][:SIZE]
    return len(set(exact) & set(answer)) / max(1, len(exact))


def searches_of(es: Elasticsearch, prefix: str, items: Sequence[str]) -> list[Body]:
    """The first search of the service for each item."""
    reader = RecordingReader(es, prefix, timeout_s=30)
    service = SimilarService(reader)
    searches = []
    for item in items:
        service.similar(item, SimilarRequest(size=SIZE, rules=NO_RULES))
        searches.append(orjson.loads(reader.first[1]))
    return searches


def _bytes(es: Elasticsearch, index: str) -> int:
    stats = es.indices.stats(index=index, metric="store")
    return int(stats["_all"]["primaries"]["store"]["size_in_bytes"])


def _exact(oracle: Oracle, row: int, photos: Sequence[Vectors]) -> list[str]:
    """The ids of the best in the first price band, by the largest cosine with a photo."""
    candidates = oracle.candidates(row, RATIOS[0])
    own = oracle.columns.vectors[row]
    best = largest_cosines(own[None], [each[candidates] for each in photos])[0]
    scores = oracle.scores(row, candidates) - oracle.columns.vectors[candidates] @ own + best
    names = np.array([oracle.ids[candidate] for candidate in candidates])
    return [str(name) for name in names[np.lexsort((names, -scores.round(6)))][:SIZE]]


def main() -> None:
    """Print a line of JSON for each row."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--listings", type=Path, required=True, help="JSON lines of listing events with a photo"
    )
    parser.add_argument("--root", type=Path, help="folder of their photos (default: that of the file)")
    parser.add_argument("--scenes", type=Path, required=True, help="folder of photos for backgrounds")
    parser.add_argument("--count", type=int, default=3000, help="listings, evenly from the file")
    parser.add_argument("--items", type=int, default=200, help="items that are searched by")
    given = parser.parse_args()
    lines = given.listings.read_text(encoding="utf-8").splitlines()
    lines = lines[:: max(1, len(lines) // given.count)][: given.count]
    listings = [parse_listing(json.loads(line)) for line in lines]
    photos = draw(listings, given.root or given.listings.parent, given.scenes, given.items)
    for row in found(listings, photos):
        print(json.dumps(asdict(row)), flush=True)
    encoder = EncoderIdentity.from_artifact(DEFAULT_ARTIFACT)
    catalogue = Catalogue(given.listings.name, listings, photos.first, encoder)
    settings = ElasticsearchSettings.from_environ(os.environ)
    prefix = f"bench-photos-{os.getpid()}"
    with connect(replace(settings, prefix=prefix, timeout_s=60)) as es:
        for each in measured(es, prefix, catalogue, photos, given.items):
            print(json.dumps(each.figures()), flush=True)


if __name__ == "__main__":
    main()
