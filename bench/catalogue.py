"""Listings with vectors, real or random, in an index: what the benchmarks of searches ask."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from elasticsearch import Elasticsearch, helpers
from numpy.typing import NDArray

from mappings.aliases import swap_aliases
from mappings.creation import IndexOptions, index_body
from mappings.identity import EncoderIdentity
from mappings.lifecycle import drop_index
from mappings.listing import Listing, ListingDocument, Status, parse_listing
from mappings.names import IndexName
from ml.artifact import DEFAULT_ARTIFACT, load_artifact
from ml.inference.encoder import load_encoder
from ml.inference.gradient_hash import gradient_hash
from ml.inference.preprocess import decode_as

BUCKETS = {"tenth": 10, "hundredth": 100, "thousandth": 1000}
"""Name of an attribute of synthetic listings to the number of its values, which are equally frequent."""

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Catalogue:
    """Listings, their unit vectors (n, dims), and the encoder of the vectors."""

    name: str
    listings: list[Listing]
    vectors: Vectors
    encoder: EncoderIdentity
    synthetic: bool = False
    hashes: tuple[str | None, ...] | None = None
    """Of the photos, where they were read."""


def real_catalogue(path: Path, root: Path, vectors: Path | None) -> Catalogue:
    """The listings of a JSONL file, encoded from their first photos, or with given vectors."""
    listings = [parse_listing(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
    made, hashes = (np.load(vectors), None) if vectors else _encoded(listings, root)
    encoder = EncoderIdentity.from_artifact(DEFAULT_ARTIFACT)
    return Catalogue(path.name, listings, made, encoder, hashes=hashes)


def _encoded(listings: Sequence[Listing], root: Path) -> tuple[Vectors, tuple[str | None, ...]]:
    artifact = load_artifact(DEFAULT_ARTIFACT)
    encoder = load_encoder(artifact, threads=1)
    batches: list[Vectors] = []
    hashes: list[str | None] = []
    for start in range(0, len(listings), 32):
        photos = [(root / listing.images[0]).read_bytes() for listing in listings[start : start + 32]]
        pixels = np.stack([decode_as(artifact.preprocessing, photo) for photo in photos])
        batches.append(encoder.encode(pixels))
        hashes += map(gradient_hash, pixels)
    return np.concatenate(batches), tuple(hashes)


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
            attributes={name: str(number % parts) for name, parts in BUCKETS.items()},
        )
        for number in range(count)
    ]
    sample = vectors[:500] @ vectors.T
    nearest = -np.sort(-sample, axis=1)[:, 1:101]
    encoder = EncoderIdentity(
        "random-clusters", dims, float(nearest.mean()), float(nearest.std(axis=1).mean())
    )
    return Catalogue(f"{count:,} synthetic", listings, vectors, encoder, synthetic=True)


@contextmanager
def loaded(
    es: Elasticsearch,
    prefix: str,
    catalogue: Catalogue,
    options: IndexOptions,
    settings: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """A live index of the catalogue under the prefix, as Elasticsearch merged it; deleted afterwards.

    settings: index settings over those of the mapping file.
    """
    index = _create(es, prefix, catalogue.encoder, options, settings or {})
    try:
        swap_aliases(es, prefix, index)
        bulk = helpers.parallel_bulk(
            es.options(request_timeout=120), actions(index, catalogue), thread_count=2, chunk_size=1000
        )
        deque(bulk, maxlen=0)
        while es.indices.stats(index=index, metric="merge")["_all"]["primaries"]["merges"]["current"]:
            time.sleep(1)
        es.indices.refresh(index=index)
        yield index
    finally:
        drop_index(es, index, force=True)


def merge(es: Elasticsearch, index: str) -> None:
    """Merge the index into one segment."""
    es.options(request_timeout=3600).indices.forcemerge(index=index, max_num_segments=1)
    es.indices.refresh(index=index)


VECTOR_DATABASE = "vectordb_document"
"""Elasticsearch's index mode for vectors: bfloat16 in an int8 graph, preloaded, merged in parallel."""


def _create(
    es: Elasticsearch,
    prefix: str,
    encoder: EncoderIdentity,
    options: IndexOptions,
    settings: Mapping[str, str],
) -> str:
    """Create an index and return its name. `+rescore` after the type of vector index rescores three times the
    wanted neighbours exactly, `+graphs` builds a graph for each segment, however small."""
    kind, *variants = options.vector_index.split("+")
    body = index_body(encoder, replace(options, vector_index="hnsw" if kind == VECTOR_DATABASE else kind))
    vector = body["mappings"]["properties"]["vector"]
    body["settings"] |= settings
    if kind == VECTOR_DATABASE:
        body["settings"]["mode"] = VECTOR_DATABASE
        del vector["index_options"]
    if "rescore" in variants:
        vector["index_options"]["rescore_vector"] = {"oversample": 3.0}
    if "graphs" in variants:
        vector["index_options"]["flat_index_threshold"] = 0
    name = str(IndexName(prefix, encoder.encoder_id, datetime.now(UTC)))
    es.indices.create(index=name, **body)
    return name


def actions(index: str, catalogue: Catalogue) -> Iterator[dict[str, Any]]:
    """The bulk actions that index each listing of a catalogue."""
    now = datetime.now(UTC)
    hashes = catalogue.hashes or (None,) * len(catalogue.listings)
    for listing, vector, image_hash in zip(catalogue.listings, catalogue.vectors, hashes, strict=True):
        removed = listing.status is Status.REMOVED
        document = ListingDocument.model_construct(
            **dict(listing),
            image_fingerprint=None,
            image_hash=image_hash,
            photo_problem=None,
            encoder_id=catalogue.encoder.encoder_id,
            indexed_at=now,
            vector=None if removed else tuple(vector.tolist()),
        )
        yield {"_index": index, "_id": listing.item_id, "_source": document.to_source()}
