"""Latency and recall of similar-item searches: `python -m bench.query --help`.

Three methods answer the same queries in one run, over real listings (`--listings FILE --root DIR`, encoded by
the artifact, or `--vectors FILE` written by `nitamono ml embed`) or over `--synthetic N` random ones:

- nitamono: one search that filters and re-ranks;
- three stages: the nearest K without filters, then filters and re-ranking in Python (as in the paper);
- exact: NumPy over all vectors, with the same ranking terms. The other two are compared with it.

The synthetic vectors are random clusters. Their neighbours are harder to separate than those of photos, so
overlaps on them are a lower bound.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import numpy as np
import orjson
from elasticsearch import Elasticsearch
from numpy.typing import NDArray

from bench.catalogue import BUCKETS, Catalogue, Vectors, loaded, merge, real_catalogue, synthetic_catalogue
from bench.served import SIZE, Client, requests_per_s, served
from mappings.client import ElasticsearchSettings, connect
from mappings.creation import IndexOptions
from mappings.identity import EncoderIdentity
from mappings.inspection import resolve
from mappings.listing import Listing, Status
from mappings.names import read_alias
from query.search.builder import KnnParameters
from query.search.ranking import DEFAULT_WEIGHTS, Calibration, Weights, weights_with
from query.search.reader import Answer, Found, IndexReader, RequestDeadline
from query.search.request import SimilarRequest
from query.search.result_policy import NO_RULES
from query.search.similar import SimilarService
from query.search.terms import TERMS
from query.search.terms.similarity import Similarity
from query.search.terms.term import Columns, Floats, attribute_columns

WEIGHTS: tuple[Weights, ...] = tuple(
    {"category": category, "price": price}
    for category, *prices in (
        (0, 0, 0.25, 1),
        (0.5, 0, 0.25),
        (1, 0, 0.25, 1),
        (2, 0, 0.25, 0.5),
        (4, 0, 0.25),
    )
    for price in prices
)
KNN_PARAMETERS = ((50, 100), (100, 200), (200, 200), (200, 400), (200, 800), (400, 800))


# The exact answers. The price bands are implemented again, so that an error in `query` shows.

BUCKET = 1.25
RATIOS = (2.0, 3.0, 5.0, 10.0)


class Oracle:
    """The exact answer over all vectors, filters and re-rank included."""

    def __init__(
        self,
        listings: Sequence[Listing],
        vectors: Vectors,
        encoder: EncoderIdentity,
        weights: Weights = DEFAULT_WEIGHTS,
    ) -> None:
        self.ids = [listing.item_id for listing in listings]
        self.position = {item_id: position for position, item_id in enumerate(self.ids)}
        self.calibration, self.spread = Calibration.of(encoder, weights), encoder.similarity_spread
        self.buckets = {
            name: np.array([str(listing.attributes.get(name)) for listing in listings]) for name in BUCKETS
        }
        self.currencies = np.array([listing.currency for listing in listings])
        self.on_sale = np.array([listing.status == "on_sale" for listing in listings])
        self.columns = replace(
            columns_of([dict(listing) for listing in listings]), vectors=vectors.astype(np.float64)
        )
        self.steps = _steps(self.columns.price)

    @property
    def prices(self) -> Floats:
        """(n,) in the listings' currencies."""
        return self.columns.price

    def answer(self, item_id: str, size: int = SIZE, bucket: str | None = None) -> list[str]:
        """The ids of the best, from the first band that holds `size` candidates, or else the widest.

        bucket: the attribute that candidates share with the item.
        """
        query = self.position[item_id]
        candidates = self.pool(query, size, bucket)
        # Scores that are equal to six decimals are ordered by id, as the service orders them.
        scores = self.scores(query, candidates).round(6)
        names = np.array([self.ids[position] for position in candidates])
        return [str(name) for name in names[np.lexsort((names, -scores))[:size]]]

    def pool(self, query: int, size: int = SIZE, bucket: str | None = None) -> NDArray[np.intp]:
        """(m,) positions of all in the first band that holds `size`, or else in the widest."""
        for ratio in RATIOS:
            candidates = self.candidates(query, ratio, bucket)
            if len(candidates) >= size:
                break
        return candidates

    def candidates(self, query: int, ratio: float, bucket: str | None = None) -> NDArray[np.intp]:
        """(m,) positions of all that may be in the answer."""
        first, last = self.band(query, ratio)
        allowed = self.on_sale & (self.currencies == self.currencies[query])
        allowed &= (self.steps >= first) & (self.steps <= last)
        if bucket:
            allowed &= self.buckets[bucket] == self.buckets[bucket][query]
        allowed[query] = False
        return np.flatnonzero(allowed)

    def band(self, query: int, ratio: float) -> tuple[float, float]:
        """The first and the last price step of a band, both included."""
        return self.step(self.prices[query] / ratio), self.step(self.prices[query] * ratio)

    def step(self, price: float) -> float:
        """The price step of a price."""
        return float(_steps(np.array([price]))[0])

    def scores(self, query: int, candidates: NDArray[np.intp]) -> Floats:
        """(candidates,) scores for one item: the sum of the ranking terms."""
        return np.asarray(
            self.calibration.scores(self.columns[query : query + 1], self.columns[candidates])[0]
        )


def _steps(prices: Floats) -> NDArray[np.floating[Any]]:
    """(n,) the price step of each price."""
    return np.asarray(np.floor(np.log(prices) / np.log(BUCKET)))


def columns_of(listings: Sequence[Mapping[str, Any]]) -> Columns:
    """The columns of listings that ranking terms read; the vectors are empty, (n, 0)."""
    paths = [tuple(listing["category"]) for listing in listings]
    categories = tuple(dict.fromkeys(paths))
    rows = {path: row for row, path in enumerate(categories)}
    created = [datetime.fromisoformat(str(listing["created_at"])).timestamp() for listing in listings]
    return Columns(
        vectors=np.empty((len(listings), 0)),
        categories=categories,
        category=np.array([rows[path] for path in paths], dtype=np.intp),
        price=np.array([float(listing["price"]) for listing in listings]),
        created=np.array(created),
        attributes=attribute_columns([listing.get("attributes", {}) for listing in listings]),
    )


# The methods that are compared.

Method = Callable[[str], list[str]]
Answers = Sequence[list[str]]
"""Ids of the best, for each item."""

RULES: Final[Mapping[str, Mapping[str, Any]]] = {"without rules": NO_RULES, "with its result policy": {}}

WARM_UPS: Final = 3
"""Rounds before the measurement: within some hundred searches, Java compiles them to twice the speed."""


def one_search(
    es: Elasticsearch, prefix: str, knn: KnnParameters | None = None, rules: Mapping[str, Any] = NO_RULES
) -> Method:
    """The service as it is, by default without the rules, which the other methods do not have."""
    service = SimilarService(IndexReader(es, prefix, timeout_s=30), knn)
    request = SimilarRequest(size=SIZE, rules=rules)
    return lambda item_id: [hit.document.item_id for hit in service.similar(item_id, request).hits]


class BareSearch:
    """The first search of the service for each item, sent again as it is: Elasticsearch's own time."""

    def __init__(self, es: Elasticsearch, prefix: str, url: str) -> None:
        self._reader = RecordingReader(es, prefix, timeout_s=30)
        self._service = SimilarService(self._reader)
        address = urlsplit(url)
        self._connection = http.client.HTTPConnection(address.hostname or "127.0.0.1", address.port)
        self._searches: dict[str, tuple[str, bytes]] = {}

    def __call__(self, item_id: str) -> list[str]:
        """The ids of the best candidates."""
        if item_id not in self._searches:
            self._service.similar(item_id, SimilarRequest(size=SIZE, rules=NO_RULES))
            self._searches[item_id] = self._reader.first
        index, body = self._searches[item_id]
        self._connection.request(
            "POST", f"/{index}/_search", body, headers={"content-type": "application/json"}
        )
        hits = orjson.loads(self._connection.getresponse().read())["hits"]["hits"]
        return [hit["_id"] for hit in hits if hit["_id"] != item_id][:SIZE]


class RecordingReader(IndexReader):
    """A reader that keeps the first search of a request."""

    first: tuple[str, bytes]

    def find(self, item_id: str, deadline: RequestDeadline) -> Found:
        """Find the item, whose search comes next."""
        self._searches = 0
        return super().find(item_id, deadline)

    def search(
        self, index: str, body: dict[str, Any], deadline: RequestDeadline, *, copy: str | None = None
    ) -> Answer:
        """Run a search, and keep it if it is the first."""
        if not self._searches:
            self.first = (index, orjson.dumps(body))
        self._searches += 1
        return super().search(index, body, deadline, copy=copy)


def in_bucket(es: Elasticsearch, prefix: str, oracle: Oracle, bucket: str) -> Method:
    """The service, with a filter on an attribute of the item."""
    service = SimilarService(IndexReader(es, prefix, timeout_s=30))

    def answer(item_id: str) -> list[str]:
        value = oracle.buckets[bucket][oracle.position[item_id]]
        request = SimilarRequest(size=SIZE, attribute=(f"{bucket}:{value}",), rules=NO_RULES)
        return [hit.document.item_id for hit in service.similar(item_id, request).hits]

    return answer


def three_stages(es: Elasticsearch, prefix: str, calibration: Calibration, nearest: int) -> Method:
    """The nearest vectors without filters, then those for sale at a similar price, then by score."""
    index = read_alias(prefix)
    fields = ["item_id", "status", "currency", "price", "category", "created_at"]

    def answer(item_id: str) -> list[str]:
        item = es.get(index=index, id=item_id, source_exclude_vectors=False)["_source"]
        knn = {"field": "vector", "query_vector": item["vector"], "k": nearest, "num_candidates": 2 * nearest}
        hits = es.search(index=index, query={"knn": knn}, size=nearest, source_includes=fields)["hits"][
            "hits"
        ]
        kept = [hit for hit in hits if _three_stage_keeps(item, hit["_source"])]
        scores = _three_stage_scores(calibration, item, kept)
        ranked = sorted(zip(scores, (hit["_source"]["item_id"] for hit in kept), strict=True), reverse=True)
        return [found for _, found in ranked[:SIZE]]

    return answer


def _three_stage_keeps(item: dict[str, Any], other: dict[str, Any]) -> bool:
    same = other["status"] == "on_sale" and other["currency"] == item["currency"]
    ratio = other["price"] / item["price"]
    return bool(same and 1 / RATIOS[0] <= ratio <= RATIOS[0] and other["item_id"] != item["item_id"])


def _three_stage_scores(
    calibration: Calibration, item: dict[str, Any], hits: Sequence[dict[str, Any]]
) -> list[float]:
    asked, found = columns_of([item]), columns_of([hit["_source"] for hit in hits])
    cosines = np.array([2 * hit["_score"] - 1 for hit in hits])
    others = (
        term.values(asked, found, calibration.weights[term.name])[0]
        for term in TERMS
        if term.name != Similarity.name
    )
    return [float(score) for score in sum(others, cosines)]


# The measurements.


@dataclass(frozen=True)
class Row:
    """The figures of one method. Milliseconds; shares from 0 to 1."""

    method: str
    p50_ms: float
    p95_ms: float
    full: float
    overlap: float

    @classmethod
    def of(cls, name: str, times_ms: Sequence[float], answers: Answers, exact: Answers) -> Row:
        """The figures of the answers to each item."""
        full = [len(given) >= min(SIZE, len(best)) for given, best in zip(answers, exact, strict=True)]
        return cls(
            name,
            round(float(np.percentile(times_ms, 50)), 2),
            round(float(np.percentile(times_ms, 95)), 2),
            round(float(np.mean(full)), 4),
            round(float(np.mean([overlap(a, b) for a, b in zip(answers, exact, strict=True)])), 4),
        )


@dataclass(frozen=True)
class Compared:
    """A method, and the exact answer to each item."""

    name: str
    method: Method
    exact: Answers


def in_turns(compared: Sequence[Compared], items: Sequence[str]) -> list[Row]:
    """Query each item by each method, in turns, after WARM_UPS rounds.

    One after the other, the methods would meet other phases of a machine that is shared. In each turn every
    method has another item, since the second to ask for one finds its vectors in the CPU's cache.
    """
    for _ in range(WARM_UPS):
        for item_id in items:
            for each in compared:
                each.method(item_id)
    taken: dict[tuple[str, int], tuple[float, list[str]]] = {}
    step = max(1, len(items) // max(1, len(compared)))
    for turn in range(len(items)):
        for number, each in enumerate(compared):
            place = (turn + number * step) % len(items)
            taken[each.name, place] = timed(each.method, items[place])
    rows = []
    for each in compared:
        times, answers = zip(*(taken[each.name, place] for place in range(len(items))), strict=True)
        rows.append(Row.of(each.name, times, answers, each.exact))
    return rows


def timed(method: Method, item_id: str) -> tuple[float, list[str]]:
    """Milliseconds and answer of one query."""
    begun = time.perf_counter()
    answer = method(item_id)
    return (time.perf_counter() - begun) * 1000, answer


def overlap(given: Sequence[str], best: Sequence[str]) -> float:
    """The share of the exact answer that a method found."""
    return len(set(given) & set(best)) / max(1, len(best))


def sampled(catalogue: Catalogue, count: int) -> list[str]:
    """Random items that have a vector, the same for each run."""
    ids = [listing.item_id for listing in catalogue.listings if listing.status is not Status.REMOVED]
    return list(np.random.default_rng(1).choice(ids, size=min(count, len(ids)), replace=False))


def compare(
    es: Elasticsearch, url: str, prefix: str, port: int, catalogue: Catalogue, items: Sequence[str]
) -> list[Row]:
    """Each method over the same index, items and machine."""
    oracle = Oracle(catalogue.listings, catalogue.vectors, catalogue.encoder)
    # Not in turns with the others: it reads all vectors, so it would empty the CPU's cache for them.
    times, exact = zip(*(timed(oracle.answer, item_id) for item_id in items), strict=True)
    methods: dict[str, Method] = {
        "nitamono": one_search(es, prefix),
        "its search, Elasticsearch alone": BareSearch(es, prefix, url),
        "nitamono over HTTP": Client(port, NO_RULES),
        "three stages, K=100": three_stages(es, prefix, oracle.calibration, 100),
        "three stages, K=500": three_stages(es, prefix, oracle.calibration, 500),
        "nitamono, with its result policy": one_search(es, prefix, rules={}),
        "the same over HTTP": Client(port),
    }
    compared = [Compared(name, method, exact) for name, method in methods.items()]
    if catalogue.synthetic:
        compared += filtered(es, prefix, oracle, items)
    return [*in_turns(compared, items), Row.of("exact NumPy", times, exact, exact)]


def filtered(es: Elasticsearch, prefix: str, oracle: Oracle, items: Sequence[str]) -> list[Compared]:
    """The service under filters that leave a tenth, a hundredth and a thousandth of the catalogue."""
    return [
        Compared(
            f"nitamono, {1 / parts:.1%} pass",
            in_bucket(es, prefix, oracle, bucket),
            [oracle.answer(item_id, bucket=bucket) for item_id in items],
        )
        for bucket, parts in BUCKETS.items()
    ]


def sweep(es: Elasticsearch, prefix: str, catalogue: Catalogue, items: Sequence[str]) -> list[Row]:
    """The service with several knn parameters."""
    oracle = Oracle(catalogue.listings, catalogue.vectors, catalogue.encoder)
    exact = [oracle.answer(item_id) for item_id in items]
    pairs = [KnnParameters(*pair) for pair in KNN_PARAMETERS]
    return in_turns(
        [
            Compared(f"k={knn.k}, num_candidates={knn.num_candidates}", one_search(es, prefix, knn), exact)
            for knn in pairs
        ],
        items,
    )


@dataclass(frozen=True)
class Weighed:
    """The effect of ranking weights on the first five exact answers. Means over the items."""

    weights: Weights
    """In spreads, by term."""
    ndcg_kind: float
    """Gain 3: same leaf category, gender and colour; 2: same leaf and gender; 1: same leaf."""
    ndcg_look: float
    """Gain 2 for the same colour, 1 for the same gender, whatever the category, which the ranking rewards."""
    similarity_lost: float
    """How far the cosines of the five are below those of the five nearest vectors, in spreads."""
    price_apart: float
    """Mean absolute logarithm of the price ratio: 0.3 is 35 %."""


def weigh(catalogue: Catalogue, items: Sequence[str]) -> list[Weighed]:
    """The exact answers under several weights, judged by attributes that the ranking does not use."""
    rows = []
    for weights in WEIGHTS:
        oracle = Oracle(catalogue.listings, catalogue.vectors, catalogue.encoder, weights_with(weights))
        judged = np.array([_judge(oracle, catalogue, oracle.position[item_id]) for item_id in items])
        rows.append(Weighed(weights, *(round(float(mean), 4) for mean in np.nanmean(judged, axis=0))))
    return rows


def _judge(oracle: Oracle, catalogue: Catalogue, query: int) -> tuple[float, float, float, float]:
    pool = oracle.pool(query)
    listings = catalogue.listings
    own = listings[query]
    same = {
        name: np.array([listings[other].attributes.get(name) == own.attributes.get(name) for other in pool])
        for name in ("gender", "colour")
    }
    leaf = np.array([listings[other].category[-1] == own.category[-1] for other in pool])
    kind = leaf * (1 + same["gender"] * (1 + same["colour"]))
    look = 2 * same["colour"] + same["gender"]
    five = np.argsort(-oracle.scores(query, pool), kind="stable")[:5]
    cosines = oracle.columns.vectors[pool] @ oracle.columns.vectors[query]
    lost = (np.sort(cosines)[::-1][:5].mean() - cosines[five].mean()) / oracle.spread
    apart = np.abs(np.log(oracle.prices[pool[five]] / oracle.prices[query])).mean()
    return _ndcg(kind, five), _ndcg(look, five), float(lost), float(apart)


def _ndcg(gains: NDArray[Any], ranked: NDArray[np.intp]) -> float:
    """nDCG@5; NaN if no candidate has a gain."""
    discounts = 1 / np.log2(np.arange(2, 7))
    best = np.sort(gains)[::-1][:5] @ discounts[: len(gains)]
    return float(gains[ranked] @ discounts[: len(ranked)] / best) if best > 0 else float("nan")


def measure(
    es: Elasticsearch, settings: ElasticsearchSettings, catalogue: Catalogue, asked: Asked
) -> Iterator[Report]:
    """Measure one catalogue: with `live` as Elasticsearch merged it, and always in one segment."""
    if asked.existing:
        index, _ = resolve(es, read_alias(settings.prefix))
        yield report_of(es, settings, index, catalogue, asked)
        return
    options = IndexOptions(vector_index=asked.vector_index)
    with loaded(es, settings.prefix, catalogue, options, asked.settings) as index:
        if asked.live:
            yield report_of(es, settings, index, catalogue, asked)
        merge(es, index)
        yield report_of(es, settings, index, catalogue, asked)


def report_of(
    es: Elasticsearch, settings: ElasticsearchSettings, index: str, catalogue: Catalogue, asked: Asked
) -> Report:
    """Measure one index."""
    items, prefix = sampled(catalogue, asked.items), settings.prefix
    environ = {"ELASTICSEARCH_URL": ",".join(settings.urls), "NITAMONO_INDEX_PREFIX": prefix}
    per_s = {}
    if asked.sweep:
        rows = sweep(es, prefix, catalogue, items)
    else:
        with served(environ) as port:
            rows = compare(es, settings.urls[0], prefix, port, catalogue, items)
            per_s = {name: requests_per_s(port, items, asked.clients, rules) for name, rules in RULES.items()}
    stats = es.indices.stats(index=index, metric=["store", "segments"])["_all"]["primaries"]
    size, segments = stats["store"]["size_in_bytes"], stats["segments"]["count"]
    listings = len(catalogue.listings)
    return Report(catalogue.name, listings, asked.vector_index, size, segments, rows, asked.clients, per_s)


@dataclass(frozen=True)
class Asked:
    """The measurements to make."""

    items: int
    clients: int
    vector_index: str
    sweep: bool
    live: bool
    settings: dict[str, str]
    """Of the index."""
    existing: bool = False
    """Whether an index of the catalogue is there already."""


@dataclass(frozen=True)
class Report:
    """The measurements of one catalogue."""

    catalogue: str
    listings: int
    vector_index: str
    bytes: int
    segments: int
    rows: list[Row]
    clients: int
    requests_per_s: dict[str, float]
    """Over HTTP, by all clients together, with and without the result policy."""

    def table(self) -> str:
        """The measurements as text."""
        lines = [
            f"{self.catalogue}: {self.listings:,} listings, {self.vector_index}, "
            f"{self.bytes / 2**20:.1f} MiB in {self.segments} segments"
        ]
        lines += [f"{'':32}{'p50 ms':>8}{'p95 ms':>8}{'full':>8}{'overlap@24':>12}"]
        lines += [
            f"{row.method:32}{row.p50_ms:8.2f}{row.p95_ms:8.2f}{row.full:8.3f}{row.overlap:12.4f}"
            for row in self.rows
        ]
        for rules, per_s in self.requests_per_s.items():
            lines.append(f"{self.clients} clients over HTTP, {rules}: {per_s:g} requests/s")
        return "\n".join(lines)


def main() -> None:
    """Print a table and a line of JSON for each measurement."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--listings", type=Path, help="JSON lines of listing events with photos")
    parser.add_argument("--root", type=Path, help="folder of their photos (default: that of the file)")
    parser.add_argument(
        "--vectors", type=Path, help=".npy file of their vectors, in order, instead of encoding"
    )
    parser.add_argument("--synthetic", type=int, metavar="N", help="N random listings")
    parser.add_argument("--items", type=int, default=300, help="number of query items")
    parser.add_argument("--clients", type=int, default=8, help="concurrent clients, for throughput")
    parser.add_argument("--vector-index", nargs="+", default=["hnsw"], help="types of vector index")
    parser.add_argument(
        "--setting", nargs="+", default=[], metavar="NAME=VALUE", help="settings of the index"
    )
    parser.add_argument(
        "--prefix", help="measure the index of the same listings that is behind this prefix, as it is"
    )
    parser.add_argument("--live", action="store_true", help="measure before the merge into one segment, too")
    parser.add_argument("--sweep", action="store_true", help="vary the knn parameters instead")
    parser.add_argument(
        "--weights", action="store_true", help="vary the ranking weights instead, with exact search"
    )
    given = parser.parse_args()
    settings = ElasticsearchSettings.from_environ(os.environ)
    prefix = given.prefix or f"bench-query-{os.getpid()}"
    settings = replace(settings, prefix=prefix, timeout_s=60)
    index_settings = dict(each.split("=", 1) for each in given.setting)
    catalogues = []
    if given.listings:
        catalogues.append(real_catalogue(given.listings, given.root or given.listings.parent, given.vectors))
    if given.synthetic:
        catalogues.append(synthetic_catalogue(given.synthetic))
    if not catalogues:
        parser.error("pass --listings FILE or --synthetic N")
    if given.weights:
        for catalogue in catalogues:
            for row in weigh(catalogue, sampled(catalogue, given.items)):
                print(json.dumps(asdict(row)), flush=True)
        return
    with connect(settings) as es:
        for catalogue in catalogues:
            for vector_index in given.vector_index:
                asked = Asked(
                    given.items,
                    given.clients,
                    vector_index,
                    given.sweep,
                    given.live,
                    index_settings,
                    bool(given.prefix),
                )
                for report in measure(es, settings, catalogue, asked):
                    print(report.table(), json.dumps(asdict(report)), sep="\n", flush=True)


if __name__ == "__main__":
    main()
