"""Another projection from stored full-width vectors, and from photos: `python -m bench.embeddings --help`.

It uses the Elasticsearch at ELASTICSEARCH_URL, with its own indices. One process indexes listings and keeps
their full-width vectors, PCA is fitted to those, and an index of the new encoder is filled twice: from the
vectors, and from the photos as a worker does.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from elasticsearch import Elasticsearch

from bench.indexing import Event, events_in, generate, own_settings, with_photos
from cache.changes import unmarked
from indexer.intake.submission import chunked
from indexer.jobs.embeddings import StoredEmbeddings, indexer_of
from indexer.jobs.reembedding import refresh
from indexer.settings import IndexerSettings
from indexer.worker.bootstrap import build_indexer
from indexer.worker.embedding_log import EmbeddingLog
from indexer.worker.pipeline.indexer import Indexer
from mappings.aliases import start_writing
from mappings.creation import create_index
from mappings.identity import EncoderIdentity
from mappings.lifecycle import drop_index, ensure_live_index
from mappings.names import dead_letter_index
from mappings.scan import pages
from ml.artifact import EncoderArtifact, load_artifact
from ml.data.vector_shards import open_shards, sample
from ml.export.project import project
from ml.pca.projection import fit_projection

CHUNK = 64
SAMPLE = 5000


def main() -> None:
    """Print the figures as JSON."""
    options = arguments()
    settings = own_settings()
    with tempfile.TemporaryDirectory() as folder:
        events = events_in(options.listings or generate(Path(folder), options))[: options.count]
        settings = replace(with_photos(settings, events), embeddings=Path(folder, "embeddings"))
        local = build_indexer(settings)
        live = ensure_live_index(local.store.es, settings.prefix, local.store.encoders[0])
        try:
            print(json.dumps(measure(settings, events, Path(folder, "new"))))
        finally:
            drop_index(local.store.es, live, force=True)
            local.store.es.indices.delete(index=dead_letter_index(settings.prefix), ignore_unavailable=True)


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--count", type=int, default=2000, help="listings")
    parser.add_argument("--photo-size", type=int, default=320, help="side of a generated photo in pixels")
    parser.add_argument("--listings", type=Path, help="a .jsonl file to use instead of generated listings")
    return parser.parse_args()


def measure(settings: IndexerSettings, events: list[Event], out: Path) -> dict[str, float]:
    """Return rates in listings/s, bytes a listing, and the least cosine of both ways."""
    assert settings.embeddings  # noqa: S101  set above
    store = build_indexer(settings).store
    log = EmbeddingLog(settings.embeddings, store.fingerprints)
    items = [event["item_id"] for event in events]
    keeping = build_indexer(settings, keep=log.add)
    first = rate(lambda: index_all(keeping, events), len(items))
    log.close()
    old = load_artifact(settings.encoder)
    shards = open_shards([settings.embeddings])
    made = project(old, fit_projection(sample(shards, SAMPLE), old.dims), shards, out)
    both = replace(settings, further_encoders=(out,), embeddings=None)
    with target(settings, made) as index:
        stored = StoredEmbeddings.of(settings.embeddings, made)
        make = indexer_of(store.es, settings.prefix, unmarked, settings.photos_per_listing)
        from_vectors = rate(lambda: stored.index(make, lambda _: None, lambda: False), len(items))
        found = vectors(store.es, index)
    with target(settings, made) as index:
        workers = build_indexer(both)
        from_photos = rate(lambda: index_all(workers, [refresh(item) for item in items]), len(items))
        expected = vectors(store.es, index)
    cosines = [float(np.dot(found[item], expected[item])) for item in found.keys() & expected.keys()]
    size = sum(path.stat().st_size for path in settings.embeddings.iterdir())
    return {
        "listings": len(items),
        "with_vector": len(found),
        "first_indexing_and_keeping": first,
        "from_vectors": from_vectors,
        "from_photos": from_photos,
        "ratio": round(from_vectors / from_photos, 1),
        "bytes_a_listing": round(size / len(found)),
        "least_cosine": min(cosines),
        "mean_cosine": float(np.mean(cosines)),
    }


@contextmanager
def target(settings: IndexerSettings, encoder: EncoderArtifact) -> Iterator[str]:
    """Create an index that is written beside the live one, and delete it at the end."""
    es = build_indexer(replace(settings, embeddings=None)).store.es
    time.sleep(1.1)  # names have the second
    index = create_index(es, settings.prefix, EncoderIdentity.from_artifact(encoder.folder))
    start_writing(es, settings.prefix, index)
    try:
        yield index
    finally:
        drop_index(es, index, force=True)


def rate(act: Callable[[], object], count: int) -> float:
    """Return how many of `count` are done a second."""
    began = time.perf_counter()
    act()
    return round(count / (time.perf_counter() - began), 1)


def index_all(indexer: Indexer, events: Sequence[object]) -> None:
    """Index the events in chunks, as a worker does."""
    for chunk in chunked(events, CHUNK):
        indexer.index(chunk)


def vectors(es: Elasticsearch, index: str) -> dict[str, list[float]]:
    """Return the vectors of an index by item."""
    query = {"exists": {"field": "vector"}}
    hits = (hit["_source"] for page in pages(es, index, query, with_vectors=True) for hit in page)
    return {source["item_id"]: source["vector"] for source in hits}


if __name__ == "__main__":
    main()
