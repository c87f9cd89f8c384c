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
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from elasticsearch import Elasticsearch, helpers
from numpy.typing import NDArray

from mappings.aliases import swap_aliases
from mappings.client import ElasticsearchSettings, connect
from mappings.creation import IndexOptions, create_index, index_body
from mappings.identity import EncoderIdentity
from mappings.lifecycle import drop_index
from mappings.listing import Listing, ListingDocument, Status, category_paths, parse_listing
from mappings.names import IndexName, read_alias
from ml.artifact import DEFAULT_ARTIFACT, load_artifact
from ml.inference.encoder import load_encoder
from ml.inference.preprocess import decode_as
from query.api.server import GUNICORN
from query.search.builder import KnnParameters
from query.search.ranking import DEFAULT_WEIGHTS, Calibration, Weights, weights_with
from query.search.reader import IndexReader
from query.search.request import SimilarRequest
from query.search.similar import SimilarService
from query.search.terms import TERMS
from query.search.terms.similarity import Similarity
from query.search.terms.term import Columns, Floats

SIZE = 24

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

Vectors = NDArray[np.float32]


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
        self.currencies = np.array([listing.currency for listing in listings])
        self.on_sale = np.array([listing.status == "on_sale" for listing in listings])
        self.columns = replace(
            columns_of([dict(listing) for listing in listings]), vectors=vectors.astype(np.float64)
        )

    @property
    def prices(self) -> Floats:
        """(n,) in the listings' currencies."""
        return self.columns.price

    def answer(self, item_id: str, size: int = SIZE) -> list[str]:
        """The ids of the best, from the first band that holds `size` candidates, or else the widest."""
        query = self.position[item_id]
        candidates = self.pool(query, size)
        # Scores that are equal to six decimals are ordered by id, as the service orders them.
        scores = self.scores(query, candidates).round(6)
        names = np.array([self.ids[position] for position in candidates])
        return [str(name) for name in names[np.lexsort((names, -scores))[:size]]]

    def pool(self, query: int, size: int = SIZE) -> NDArray[np.intp]:
        """The positions of all in the first band that holds `size`, or else in the widest."""
        for ratio in RATIOS:
            candidates = self.candidates(query, ratio)
            if len(candidates) >= size:
                break
        return candidates

    def candidates(self, query: int, ratio: float) -> NDArray[np.intp]:
        """The positions of all that may be in the answer."""
        price = self.prices[query]
        low = BUCKET ** np.floor(np.log(price / ratio) / np.log(BUCKET))
        high = BUCKET ** np.ceil(np.log(price * ratio) / np.log(BUCKET))
        allowed = self.on_sale & (self.currencies == self.currencies[query])
        allowed &= (self.prices >= low) & (self.prices <= high)
        allowed[query] = False
        return np.flatnonzero(allowed)

    def scores(self, query: int, candidates: NDArray[np.intp]) -> Floats:
        """(candidates,) scores for one item: the sum of the ranking terms."""
        return np.asarray(
            self.calibration.scores(self.columns[query : query + 1], self.columns[candidates])[0]
        )


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
    )


# The data.


@dataclass(frozen=True)
class Catalogue:
    """Listings, their unit vectors (n, dims), and the encoder of the vectors."""

    name: str
    listings: list[Listing]
    vectors: Vectors
    encoder: EncoderIdentity


def real_catalogue(path: Path, root: Path, vectors: Path | None) -> Catalogue:
    """The listings of a JSONL file, encoded from their first photos, or with given vectors."""
    listings = [parse_listing(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
    made = np.load(vectors) if vectors else _encoded(listings, root)
    return Catalogue(path.name, listings, made, EncoderIdentity.from_artifact(DEFAULT_ARTIFACT))


def _encoded(listings: Sequence[Listing], root: Path) -> Vectors:
    artifact = load_artifact(DEFAULT_ARTIFACT)
    encoder = load_encoder(artifact, threads=1)
    batches = []
    for start in range(0, len(listings), 32):
        photos = [(root / listing.images[0]).read_bytes() for listing in listings[start : start + 32]]
        batches.append(
            encoder.encode(np.stack([decode_as(artifact.preprocessing, photo) for photo in photos]))
        )
    return np.concatenate(batches)


def synthetic_catalogue(count: int, dims: int = 128, seed: int = 7) -> Catalogue:
    """Random listings in clusters of about fifty, each with one category and price level."""
    rng = np.random.default_rng(seed)
    clusters = max(1, count // 50)
    of = rng.integers(clusters, size=count)
    vectors = rng.standard_normal((clusters, dims))[of] + 0.8 * rng.standard_normal((count, dims))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    prices = np.maximum(10, np.exp(rng.normal(7.5, 0.8, clusters)[of] + rng.normal(0, 0.5, count))).round()
    statuses = rng.choice(["on_sale", "reserved", "sold_out"], p=[0.72, 0.05, 0.23], size=count)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    listings = [
        Listing.model_construct(
            item_id=f"s{number}",
            title=f"Listing {number}",
            category=(f"a{of[number] % 6}", f"b{of[number] % 30}", f"c{of[number] % 150}"),
            price=float(prices[number]),
            currency="JPY",
            seller_id=f"seller{number % 997}",
            status=Status(statuses[number]),
            created_at=now + timedelta(seconds=number),
            updated_at=now + timedelta(seconds=number),
            images=(),
            attributes={},
        )
        for number in range(count)
    ]
    sample = vectors[:500] @ vectors.T
    nearest = -np.sort(-sample, axis=1)[:, 1:101]
    encoder = EncoderIdentity(
        "random-clusters", dims, float(nearest.mean()), float(nearest.std(axis=1).mean())
    )
    return Catalogue(f"{count:,} synthetic", listings, vectors, encoder)


@contextmanager
def loaded(es: Elasticsearch, prefix: str, catalogue: Catalogue, options: IndexOptions) -> Iterator[str]:
    """A live index of the catalogue under the prefix, in one segment; deleted afterwards."""
    index = _create(es, prefix, catalogue.encoder, options)
    try:
        swap_aliases(es, prefix, index)
        helpers.bulk(es.options(request_timeout=120), _actions(index, catalogue), chunk_size=1000)
        es.options(request_timeout=600).indices.forcemerge(index=index, max_num_segments=1)
        es.indices.refresh(index=index)
        yield index
    finally:
        drop_index(es, index, force=True)


def _create(es: Elasticsearch, prefix: str, encoder: EncoderIdentity, options: IndexOptions) -> str:
    """Create an index and return its name; `+rescore` rescores three times the wanted neighbours exactly."""
    kind, _, rescored = options.vector_index.partition("+")
    if not rescored:
        return create_index(es, prefix, encoder, options=options)
    body = index_body(encoder, replace(options, vector_index=kind))
    body["mappings"]["properties"]["vector"]["index_options"]["rescore_vector"] = {"oversample": 3.0}
    name = str(IndexName(prefix, encoder.encoder_id, datetime.now(UTC)))
    es.indices.create(index=name, **body)
    return name


def _actions(index: str, catalogue: Catalogue) -> Iterator[dict[str, Any]]:
    now = datetime.now(UTC)
    for listing, vector in zip(catalogue.listings, catalogue.vectors, strict=True):
        removed = listing.status is Status.REMOVED
        document = ListingDocument.model_construct(
            **dict(listing),
            category_paths=category_paths(listing.category),
            image_fingerprint=None,
            image_hash=None,
            photo_problem=None,
            encoder_id=catalogue.encoder.encoder_id,
            indexed_at=now,
            vector=None if removed else tuple(vector.tolist()),
        )
        yield {"_index": index, "_id": listing.item_id, "_source": document.to_source()}


# The methods that are compared.

Method = Callable[[str], list[str]]


def one_search(es: Elasticsearch, prefix: str, knn: KnnParameters | None = None) -> Method:
    """The service as it is."""
    service = SimilarService(IndexReader(es, prefix, timeout_s=30), knn)
    request = SimilarRequest(size=SIZE)
    return lambda item_id: [hit.document.item_id for hit in service.similar(item_id, request).hits]


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
    def of(cls, name: str, method: Method, items: Sequence[str], exact: Sequence[list[str]]) -> Row:
        """Query each item once, after a warm-up over all of them."""
        for item_id in items:
            method(item_id)
        times, answers = [], []
        for item_id in items:
            begun = time.perf_counter()
            answers.append(method(item_id))
            times.append((time.perf_counter() - begun) * 1000)
        full = [len(given) >= min(SIZE, len(best)) for given, best in zip(answers, exact, strict=True)]
        return cls(
            name,
            round(float(np.percentile(times, 50)), 2),
            round(float(np.percentile(times, 95)), 2),
            round(float(np.mean(full)), 4),
            round(float(np.mean([overlap(a, b) for a, b in zip(answers, exact, strict=True)])), 4),
        )


def overlap(given: Sequence[str], best: Sequence[str]) -> float:
    """The share of the exact answer that a method found."""
    return len(set(given) & set(best)) / max(1, len(best))


def sampled(catalogue: Catalogue, count: int) -> list[str]:
    """Random items that have a vector, the same for each run."""
    ids = [listing.item_id for listing in catalogue.listings if listing.status is not Status.REMOVED]
    return list(np.random.default_rng(1).choice(ids, size=min(count, len(ids)), replace=False))


def compare(es: Elasticsearch, prefix: str, catalogue: Catalogue, items: Sequence[str]) -> list[Row]:
    """Each method over the same index, items and machine."""
    oracle = Oracle(catalogue.listings, catalogue.vectors, catalogue.encoder)
    exact = [oracle.answer(item_id) for item_id in items]
    methods = {
        "nitamono": one_search(es, prefix),
        "three stages, K=100": three_stages(es, prefix, oracle.calibration, 100),
        "three stages, K=500": three_stages(es, prefix, oracle.calibration, 500),
        "exact NumPy": oracle.answer,
    }
    return [Row.of(name, method, items, exact) for name, method in methods.items()]


def sweep(es: Elasticsearch, prefix: str, catalogue: Catalogue, items: Sequence[str]) -> list[Row]:
    """The service with several knn parameters."""
    oracle = Oracle(catalogue.listings, catalogue.vectors, catalogue.encoder)
    exact = [oracle.answer(item_id) for item_id in items]
    return [
        Row.of(
            f"k={knn.k}, num_candidates={knn.num_candidates}",
            one_search(es, prefix, knn),
            items,
            exact,
        )
        for knn in (KnnParameters(*pair) for pair in KNN_PARAMETERS)
    ]


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


def over_http(url_environ: dict[str, str], items: Sequence[str], clients: int) -> dict[str, float]:
    """Latency of one client and throughput of several, through gunicorn and over connections kept open.

    `elasticsearch_share` is the part of an answer's own time that it waited for Elasticsearch.
    """
    with served(url_environ) as port:
        ask(port, items)
        alone = ask(port, items)
        begun = time.perf_counter()
        with ThreadPoolExecutor(clients) as pool:
            answered = sum(len(done) for done in pool.map(lambda _: ask(port, items), range(clients)))
        elapsed = time.perf_counter() - begun
    times = [took for took, _ in alone]
    return {
        "p50_ms": round(float(np.percentile(times, 50)), 2),
        "p95_ms": round(float(np.percentile(times, 95)), 2),
        "requests_per_s": round(answered / elapsed, 1),
        "clients": clients,
        "elasticsearch_share": round(
            sum(body["elasticsearch_ms"] for _, body in alone) / sum(body["took_ms"] for _, body in alone), 3
        ),
        "elasticsearch_share_of_request": round(
            sum(body["elasticsearch_ms"] for _, body in alone) / sum(times), 3
        ),
    }


def ask(port: int, items: Sequence[str]) -> list[tuple[float, dict[str, Any]]]:
    """Query each item, and return milliseconds and answer of each."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    answers = []
    for item_id in items:
        begun = time.perf_counter()
        connection.request("GET", f"/v1/listings/{item_id}/similar?size={SIZE}")
        body = connection.getresponse().read()
        answers.append(((time.perf_counter() - begun) * 1000, json.loads(body)))
    connection.close()
    return answers


@contextmanager
def served(environ: dict[str, str]) -> Iterator[int]:
    """Run the API behind gunicorn, and yield its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    environ = {**os.environ, **environ, "NITAMONO_API_PORT": str(port)}
    command = [sys.executable, "-m", *GUNICORN]
    process = subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL)  # noqa: S603 - our own command
    try:
        _wait_until_served(process, port)
        yield port
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait_until_served(process: subprocess.Popen[bytes], port: int) -> None:
    for _ in range(150):
        if process.poll() is not None:
            raise SystemExit(f"gunicorn ended with {process.returncode}; `nitamono similar` may say more")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise SystemExit("gunicorn did not open its port within 30 s")


def measure(es: Elasticsearch, settings: ElasticsearchSettings, catalogue: Catalogue, asked: Asked) -> Report:
    """Measure one catalogue."""
    items = sampled(catalogue, asked.items)
    prefix = settings.prefix
    with loaded(es, prefix, catalogue, IndexOptions(vector_index=asked.vector_index)) as index:
        rows = sweep(es, prefix, catalogue, items) if asked.sweep else compare(es, prefix, catalogue, items)
        environ = {"ELASTICSEARCH_URL": ",".join(settings.urls), "NITAMONO_INDEX_PREFIX": prefix}
        http_figures = {} if asked.sweep else over_http(environ, items, asked.clients)
        size = es.indices.stats(index=index, metric="store")["_all"]["primaries"]["store"]["size_in_bytes"]
    return Report(catalogue.name, len(catalogue.listings), asked.vector_index, size, rows, http_figures)


@dataclass(frozen=True)
class Asked:
    """The measurements to make."""

    items: int
    clients: int
    vector_index: str
    sweep: bool


@dataclass(frozen=True)
class Report:
    """The measurements of one catalogue."""

    catalogue: str
    listings: int
    vector_index: str
    bytes: int
    rows: list[Row]
    http: dict[str, float]

    def table(self) -> str:
        """The measurements as text."""
        lines = [
            f"{self.catalogue}: {self.listings:,} listings, {self.vector_index}, {self.bytes / 2**20:.1f} MiB"
        ]
        lines += [f"{'':32}{'p50 ms':>8}{'p95 ms':>8}{'full':>8}{'overlap@24':>12}"]
        lines += [
            f"{row.method:32}{row.p50_ms:8.2f}{row.p95_ms:8.2f}{row.full:8.3f}{row.overlap:12.4f}"
            for row in self.rows
        ]
        if self.http:
            lines.append("over HTTP: " + ", ".join(f"{name} {value:g}" for name, value in self.http.items()))
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
    parser.add_argument("--sweep", action="store_true", help="vary the knn parameters instead")
    parser.add_argument(
        "--weights", action="store_true", help="vary the ranking weights instead, with exact search"
    )
    given = parser.parse_args()
    settings = ElasticsearchSettings.from_environ(os.environ)
    settings = replace(settings, prefix=f"bench-query-{os.getpid()}", timeout_s=60)
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
                asked = Asked(given.items, given.clients, vector_index, given.sweep)
                report = measure(es, settings, catalogue, asked)
                print(report.table(), json.dumps(asdict(report)), sep="\n", flush=True)


if __name__ == "__main__":
    main()
