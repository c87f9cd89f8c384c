"""A new index from the documents of another, vectors included, while events go on being indexed.

The new index joins the write alias first. From then on every event is written to both, and what the old one
holds by then is copied. A copy never overwrites a document that is there already. A status or a vector that
came to a listing during the copy leaves its version as it was, so what was indexed since the beginning is
compared at the end. The progress is kept in the new index, so a rebuild that was interrupted resumes there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from elasticsearch import Elasticsearch
from pydantic import ValidationError

from indexer.errors import RebuildFailed
from indexer.worker.pipeline.store import ListingStore, StoredDocument, VersionedDocument
from mappings.aliases import start_writing, swap_aliases
from mappings.creation import LISTINGS_BODY, IndexOptions, add_fields, create_index
from mappings.failures import TransientFailure, VersionConflict, elasticsearch_errors
from mappings.identity import EncoderIdentity
from mappings.inspection import DESCRIPTION, SCHEMA_VERSION, UPGRADED_TO, meta_of, only_index
from mappings.listing import CLOCK_SKEW, ListingDocument, isoformat
from mappings.names import read_alias
from mappings.scan import pages

MAX_ROUNDS: Final = 10
"""Of comparing what was indexed during the copy; each is shorter than the one before."""

COUNT_ATTEMPTS: Final = 5
"""Between the writes of one event to both indices, their counts differ."""

SAVED_EVERY_S: Final = 5.0
"""Seconds of copying that an interruption repeats. Each save is a change of the cluster's state."""

FIELDS: Final = {
    name: field for name, field in LISTINGS_BODY["mappings"]["properties"].items() if name != "vector"
}
"""All but the vector, whose dims and index type are each index's own."""

_META: Final = "rebuild"


@dataclass(frozen=True)
class Rebuild:
    """The copy of one index into another, as far as it got."""

    source: str
    target: str
    began: str
    """When events were first written to both, as documents have it."""
    copied: int = 0
    """Documents."""
    after: str | None = None
    """The last item that was copied, in the order of ids."""


def source_of_upgrade(es: Elasticsearch, prefix: str) -> str | None:
    """Return the live index if it is of an earlier schema; None if there is nothing to upgrade.

    Raises:
        IndexMissing, MappingMismatch: no one index is live.
    """
    name, entry = only_index(es, read_alias(prefix))
    return None if meta_of(entry).get("schema_version") == SCHEMA_VERSION else name


def options_of(es: Elasticsearch, index: str) -> IndexOptions:
    """Return the options of an index: its shards, replicas and type of vector index."""
    entry = es.indices.get(index=index)[index]
    settings: Mapping[str, str] = entry["settings"]["index"]
    # An index of schema 1 on one node had none, because its mapping file said so.
    replicas = int(settings["number_of_replicas"])
    expanding = settings.get("auto_expand_replicas", "false") != "false"
    options = entry["mappings"]["properties"]["vector"].get("index_options", {})
    return IndexOptions(
        shards=int(settings["number_of_shards"]),
        replicas=None if expanding or not replicas else replicas,
        vector_index=str(options.get("type", IndexOptions.vector_index)),
    )


def begin(es: Elasticsearch, prefix: str, source: str, options: IndexOptions) -> Rebuild:
    """Return the rebuild of `source` that was interrupted, or a new one, whose index is written to now."""
    interrupted = unfinished(es, prefix, source)
    if interrupted is not None:
        start_writing(es, prefix, interrupted.target)
        return interrupted
    meta = meta_of(only_index(es, source)[1])
    # The documents of the new schema, which events are written with, must fit the old index as well.
    add_fields(es, source, {"mappings": {"properties": FIELDS}})
    es.indices.put_mapping(index=source, meta={**meta, UPGRADED_TO: SCHEMA_VERSION})
    target = create_index(es, prefix, EncoderIdentity.from_meta(meta), options=options)
    rebuild = Rebuild(source, target, isoformat(datetime.now(UTC)))
    save(es, rebuild)
    start_writing(es, prefix, target)
    return rebuild


def unfinished(es: Elasticsearch, prefix: str, source: str) -> Rebuild | None:
    """Return the rebuild of `source` that was begun before, if there is one."""
    entries = es.indices.get(index=f"{prefix}-*", filter_path=DESCRIPTION)
    for entry in entries.values():
        saved = meta_of(entry).get(_META)
        if saved and saved["source"] == source:
            return Rebuild(**saved)
    return None


def copy(
    es: Elasticsearch, store: ListingStore, rebuild: Rebuild, progress: Callable[[int], object]
) -> Rebuild:
    """Copy the documents that are left, and return the rebuild with all of them copied.

    progress: called with the number of documents after each page.

    Raises:
        ElasticsearchUnavailable: it does not answer. What was copied stays.
        RebuildFailed: it refuses a document.
    """
    everything: Mapping[str, Any] = {"match_all": {}}
    rest = {"range": {"item_id": {"gt": rebuild.after}}} if rebuild.after else everything
    saved = time.monotonic()
    with elasticsearch_errors():
        for hits in pages(es, rebuild.source, rest, sort=[{"item_id": "asc"}], with_vectors=True):
            write(store, rebuild.target, hits)
            rebuild = replace(
                rebuild, copied=rebuild.copied + len(hits), after=hits[-1]["_source"]["item_id"]
            )
            progress(len(hits))
            if time.monotonic() - saved > SAVED_EVERY_S:
                save(es, rebuild)
                saved = time.monotonic()
        save(es, rebuild)
    return rebuild


def catch_up(es: Elasticsearch, store: ListingStore, rebuild: Rebuild) -> int:
    """Copy what was indexed since the rebuild began and is newer than in the new index; return how many.

    Called until it returns 0: a document that a worker changes in both at the same moment is found again.

    Raises:
        ElasticsearchUnavailable, RebuildFailed: as `copy`.
    """
    since = isoformat(datetime.fromisoformat(rebuild.began) - CLOCK_SKEW)
    recent = {"range": {"indexed_at": {"gte": since}}}
    written = 0
    with elasticsearch_errors():
        for hits in pages(es, rebuild.source, recent, with_vectors=True):
            stored = store.read(rebuild.target, [hit["_id"] for hit in hits])
            newer = [hit for hit in hits if is_newer(hit, stored.get(hit["_id"]))]
            write(store, rebuild.target, newer, over_equal=True)
            written += len(newer)
    return written


def is_newer(hit: Mapping[str, Any], stored: StoredDocument | None) -> bool:
    """Return whether a document is newer than the one that the new index has."""
    if stored is None or hit["_version"] > stored.version:
        return True
    later = hit["_source"]["indexed_at"] > stored.source["indexed_at"]
    return bool(hit["_version"] == stored.version and later)


def write(
    store: ListingStore, index: str, hits: Sequence[Mapping[str, Any]], *, over_equal: bool = False
) -> None:
    """Write the documents of these hits to another index, where that has none of theirs or newer ones.

    Raises:
        TransientFailure: Elasticsearch does not take them now.
        RebuildFailed: it refuses one for good.
    """
    documents = [document_of(index, hit) for hit in hits]
    failures = store.write(documents, over_equal=over_equal)
    for document, failure in zip(documents, failures, strict=True):
        if isinstance(failure, TransientFailure):
            raise failure
        if failure is not None and not isinstance(failure, VersionConflict):
            raise RebuildFailed(
                f"item {document.document.item_id!r} cannot be copied to {index}: {failure}; "
                "correct the listing, index it again, and repeat the command"
            )


def document_of(index: str, hit: Mapping[str, Any]) -> VersionedDocument:
    """Return the document of a hit for another index.

    Raises:
        RebuildFailed: it is not a listing's.
    """
    try:
        return VersionedDocument(index, hit["_version"], ListingDocument.model_validate(hit["_source"]))
    except ValidationError as error:
        raise RebuildFailed(
            f"the document of item {hit['_id']!r} cannot be read: {error}; index the listing again, and "
            "repeat the command"
        ) from error


def finish(es: Elasticsearch, prefix: str, store: ListingStore, rebuild: Rebuild) -> None:
    """Put the new index live. The old one is still written to.

    Raises:
        RebuildFailed: the new index has fewer documents than the old one.
    """
    for _ in range(MAX_ROUNDS):
        if not catch_up(es, store, rebuild):
            break
    for attempt in range(COUNT_ATTEMPTS):
        missing = count(es, rebuild.source) - count(es, rebuild.target)
        if missing <= 0:
            break
        time.sleep(attempt)
    else:
        save(es, replace(rebuild, copied=0, after=None))
        raise RebuildFailed(
            f"{rebuild.target} lacks {missing:,} of the documents of {rebuild.source}; repeat the command, "
            "which copies those that are missing"
        )
    swap_aliases(es, prefix, rebuild.target)
    meta = meta_of(only_index(es, rebuild.target)[1])
    es.indices.put_mapping(index=rebuild.target, meta={key: meta[key] for key in meta if key != _META})


def count(es: Elasticsearch, index: str) -> int:
    """Return the number of documents of an index, including those that were just written."""
    es.indices.refresh(index=index)
    return int(es.count(index=index)["count"])


def save(es: Elasticsearch, rebuild: Rebuild) -> None:
    """Keep the progress in the new index."""
    meta = meta_of(only_index(es, rebuild.target)[1])
    es.indices.put_mapping(index=rebuild.target, meta={**meta, _META: asdict(rebuild)})
