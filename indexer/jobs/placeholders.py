"""Photos that many sellers share, and the removal of placeholders from an index."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from elasticsearch import Elasticsearch

from indexer.photos.marks import Mark
from indexer.photos.placeholders import (
    FEATURELESS,
    HASHES,
    PLACEHOLDER,
    Usage,
    hash_buckets,
    usage_in,
    with_hash,
)
from indexer.worker.pipeline.dead_letters import DeadLetter, DeadLetters
from indexer.worker.pipeline.documents import EncodedPhoto, PhotoProblem, PhotoResult, photo_in, source_of
from indexer.worker.pipeline.store import DocumentWrite, ListingStore, StoredDocument
from mappings.failures import VersionConflict, elasticsearch_errors
from mappings.inspection import indices_behind
from mappings.listing import Listing, UnusedPhoto, event_version, parse_listing, place_of_photo
from mappings.names import write_alias
from mappings.scan import pages

REMOVED: Final = "removed by `nitamono indexer placeholders repair`"


@dataclass(frozen=True)
class SharedPhoto:
    """A photo that listings share."""

    image_hash: str
    listings: int
    usage: Usage
    example: str
    """The reference of one of them; all photos of a listing, as `a.jpg|b.jpg`, where it is one of those."""


def shared_photos(es: Elasticsearch, indices: Sequence[str], *, count: int, least: int) -> list[SharedPhoto]:
    """Return the photos with vectors that most listings share, at least so many.

    Raises:
        ElasticsearchUnavailable: it does not answer.
    """
    with elasticsearch_errors():
        answer = es.search(
            index=list(indices), size=0, aggs={name: _most_shared(name, count) for name in HASHES}
        )
        buckets = [(name, each) for name in HASHES for each in answer["aggregations"][name]["buckets"]]
        listings = _listings(es, indices, {bucket["key"] for _, bucket in buckets})
    found: dict[str, SharedPhoto] = {}
    for name, bucket in buckets:
        image_hash = bucket["key"]
        photo = SharedPhoto(image_hash, listings[image_hash], usage_in(bucket), _example(name, bucket))
        known = found.get(image_hash)
        found[image_hash] = replace(known, usage=known.usage | photo.usage) if known else photo
    shared = [photo for photo in found.values() if photo.listings >= least]
    return sorted(shared, key=lambda photo: -photo.listings)[:count]


def _listings(es: Elasticsearch, indices: Sequence[str], image_hashes: Collection[str]) -> dict[str, int]:
    """Return the number of listings with each hash. One that has a photo first and further on counts once."""
    if not image_hashes:
        return {}
    filters = {each: with_hash([each]) for each in image_hashes}
    answer = es.search(
        index=list(indices), size=0, aggs={"listings": {"filters": {"filters": filters}}}, request_cache=False
    )
    return {each: found["doc_count"] for each, found in answer["aggregations"]["listings"]["buckets"].items()}


def _most_shared(name: str, count: int) -> dict[str, Any]:
    buckets = hash_buckets(name, size=count)
    # Of three listings that share a photo, two have it in the same field.
    buckets["terms"] |= {"min_doc_count": 2, "exclude": [FEATURELESS]}
    buckets["aggs"] |= {"example": {"top_hits": {"size": 1, "_source": ["images"]}}}
    return buckets


def repair(store: ListingStore, dead_letters: DeadLetters, placeholders: Mapping[str, Mark]) -> int:
    """Remove the vectors of placeholders from all indices, and return how many documents had some.

    A listing that has no other photo with a vector gets a dead letter; so does one with the mean of several,
    which a replay of the letter works out anew. A document that changes meanwhile is left to its writer,
    which knows the marks.

    Raises:
        ElasticsearchUnavailable, PermanentFailure: it does not answer, or does not take a document.
    """
    query = {"bool": {"filter": [with_hash(placeholders), {"exists": {"field": "vector"}}]}}
    removed = 0
    for index in indices_behind(store.es, write_alias(store.prefix)) if placeholders else ():
        for hits in pages(store.es, index, query, with_vectors=True):
            writes = [_without(placeholders, index, hit) for hit in hits]
            failures = store.write(writes)
            for failure in failures:
                if failure is not None and not isinstance(failure, VersionConflict):
                    raise failure
            written = [write for write, failure in zip(writes, failures, strict=True) if failure is None]
            dead_letters.write(_letters(written, placeholders))
            removed += len(written)
    return removed


def _without(placeholders: Container[str], index: str, hit: Mapping[str, Any]) -> DocumentWrite:
    """Return the write of a document with what is left of its photos."""
    stored = StoredDocument.of(hit)
    source = source_of(
        hit["_id"],
        stored.state,
        _left(photo_in(stored.source), placeholders),
        stored.source["encoder_id"],
        fingerprint=stored.source.get("image_fingerprint"),
    )
    return DocumentWrite(index, source, stored)


def _left(photo: PhotoResult, placeholders: Container[str]) -> PhotoResult:
    """Return the photos that are no placeholders; nothing is left of a mean with one."""
    nothing = PhotoProblem(PLACEHOLDER, REMOVED)
    if not isinstance(photo, EncodedPhoto):
        return nothing
    photos = photo.separate()
    left = [each for each in photos if each.image_hash not in placeholders]
    if not left:
        return nothing
    removed = (
        UnusedPhoto(place_of_photo(number, photo.unused), PLACEHOLDER, REMOVED)
        for number, each in enumerate(photos)
        if each.image_hash in placeholders
    )
    return replace(EncodedPhoto.each(left), unused=tuple(sorted([*photo.unused, *removed])))


def _letters(writes: Sequence[DocumentWrite], marks: Mapping[str, Mark]) -> Iterator[DeadLetter]:
    """Yield a letter for each listing that has no vector any more."""
    for write in writes:
        if write.replaced is None or "vector" in write.source:
            continue
        source = write.replaced.source
        event = {name: source[name] for name in Listing.model_fields if name in source}
        hashes = (source["image_hash"], *source.get("further_hashes", ()))
        found = next(each for each in hashes if each in marks)
        detail = f"the photo is a placeholder: {marks[found].why}"
        yield DeadLetter.of(event, PLACEHOLDER, detail, version=event_version(parse_listing(event)))


def _example(name: str, bucket: Mapping[str, Any]) -> str:
    images = bucket["example"]["hits"]["hits"][0]["_source"].get("images") or [""]
    return str(images[0]) if name == "image_hash" else "|".join(images)
