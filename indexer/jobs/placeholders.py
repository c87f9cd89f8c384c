"""Photos that many sellers share, and the removal of placeholders from an index."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from elasticsearch import Elasticsearch

from indexer.photos.marks import Mark
from indexer.photos.placeholders import FEATURELESS, PLACEHOLDER, Usage, hash_buckets, usage_in
from indexer.worker.pipeline.dead_letters import DeadLetter, DeadLetters
from indexer.worker.pipeline.documents import PhotoProblem, source_of
from indexer.worker.pipeline.store import DocumentWrite, ListingStore, StoredDocument
from mappings.failures import elasticsearch_errors
from mappings.inspection import indices_behind
from mappings.listing import Listing, event_version, parse_listing
from mappings.names import write_alias
from mappings.scan import pages


@dataclass(frozen=True)
class SharedPhoto:
    """A photo that listings share."""

    image_hash: str
    listings: int
    usage: Usage
    example: str
    """The reference of one of them."""


def shared_photos(es: Elasticsearch, indices: Sequence[str], *, count: int, least: int) -> list[SharedPhoto]:
    """Return the photos with vectors that most listings share, at least so many.

    Raises:
        ElasticsearchUnavailable: it does not answer.
    """
    example = {"top_hits": {"size": 1, "_source": ["images"]}}
    buckets = hash_buckets(count)
    buckets["terms"] |= {"min_doc_count": max(least, 2), "exclude": [FEATURELESS]}
    buckets["aggs"] |= {"example": example}
    with elasticsearch_errors():
        answer = es.search(index=list(indices), size=0, aggs={"hash": buckets})
    return [
        SharedPhoto(bucket["key"], bucket["doc_count"], usage_in(bucket), _example(bucket))
        for bucket in answer["aggregations"]["hash"]["buckets"]
    ]


def repair(store: ListingStore, dead_letters: DeadLetters, placeholders: Mapping[str, Mark]) -> int:
    """Remove the vectors of placeholders from all indices, each with a dead letter, and return how many.

    A document that changes meanwhile is left to its writer, which knows the marks.

    Raises:
        ElasticsearchUnavailable: it does not answer.
    """
    query = {
        "bool": {"filter": [{"terms": {"image_hash": list(placeholders)}}, {"exists": {"field": "vector"}}]}
    }
    removed = 0
    for index in indices_behind(store.es, write_alias(store.prefix)) if placeholders else ():
        for hits in pages(store.es, index, query):
            failures = store.write([_without_photo(index, hit) for hit in hits])
            written = [hit for hit, failure in zip(hits, failures, strict=True) if failure is None]
            dead_letters.write(_letters(written, placeholders))
            removed += len(written)
    return removed


def _without_photo(index: str, hit: Mapping[str, Any]) -> DocumentWrite:
    stored = StoredDocument.of(hit)
    problem = PhotoProblem(PLACEHOLDER, "removed by `nitamono indexer placeholders repair`")
    encoder_id, fingerprint = stored.source["encoder_id"], stored.source.get("image_fingerprint")
    source = source_of(hit["_id"], stored.state, problem, encoder_id, fingerprint=fingerprint)
    return DocumentWrite(index, source, stored)


def _letters(hits: Sequence[Mapping[str, Any]], marks: Mapping[str, Mark]) -> Iterator[DeadLetter]:
    for hit in hits:
        source = hit["_source"]
        event = {name: source[name] for name in Listing.model_fields if name in source}
        detail = f"the photo is a placeholder: {marks[source['image_hash']].detail}"
        yield DeadLetter.of(event, PLACEHOLDER, detail, version=event_version(parse_listing(event)))


def _example(bucket: Mapping[str, Any]) -> str:
    images = bucket["example"]["hits"]["hits"][0]["_source"].get("images") or [""]
    return str(images[0])
