"""A new index from the documents of another, vectors included, while events go on being indexed.

The new index joins the write alias first. From then on every event is written to both, together with what
either of them holds of its item, and what the old one holds by then is copied. A copy never overwrites a
document that is there already. The progress is kept in the new index, so a rebuild that was interrupted
resumes there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from elasticsearch import Elasticsearch

from indexer.errors import RebuildFailed
from indexer.worker.pipeline.documents import photo_in, source_of
from indexer.worker.pipeline.item_state import ItemState
from indexer.worker.pipeline.store import DocumentWrite, ListingStore
from mappings.aliases import start_writing, swap_aliases
from mappings.creation import LISTING_FIELDS, IndexOptions, add_fields, create_index
from mappings.failures import TransientFailure, VersionConflict, elasticsearch_errors
from mappings.identity import EncoderIdentity, IndexVectors
from mappings.inspection import DESCRIPTION, SCHEMA_VERSION, UPGRADED_TO, index_vectors, meta_of, only_index
from mappings.listing import isoformat
from mappings.names import read_alias
from mappings.scan import Hit, pages

COUNT_ATTEMPTS: Final = 5
"""Between the writes of one event to both indices, their counts differ."""

SAVED_EVERY_S: Final = 5.0
"""Seconds of copying that an interruption repeats. Each save is a change of the cluster's state."""

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
    """The last item that was copied, in the order of ids. All before it are, too."""
    filled: bool = False
    """Whether a backfill has come to the end: the index may wait for its conditions, or is that of an arm."""


def source_of_upgrade(es: Elasticsearch, prefix: str) -> str | None:
    """Return the live index if it is of an earlier schema; None if there is nothing to upgrade.

    Raises:
        IndexMissing, MappingMismatch: no one index is live.
    """
    name, entry = only_index(es, read_alias(prefix))
    return None if meta_of(entry).get("schema_version") == SCHEMA_VERSION else name


def encoder_of_index(es: Elasticsearch, index: str) -> EncoderIdentity:
    """Return the encoder of an index of any schema."""
    return EncoderIdentity.from_meta(meta_of(only_index(es, index)[1]))


def options_of(es: Elasticsearch, index: str) -> IndexOptions:
    """Return the options of an index: its shards, replicas, type of vector index and photos a listing."""
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
        photos=index_vectors(entry).photos,
    )


def admit_new_fields(es: Elasticsearch, source: str) -> None:
    """Let documents of this version's schema, which events are written with, fit an older index as well."""
    meta = meta_of(only_index(es, source)[1])
    add_fields(es, source, LISTING_FIELDS)
    es.indices.put_mapping(index=source, meta={**meta, UPGRADED_TO: SCHEMA_VERSION})


def begin(
    es: Elasticsearch, prefix: str, source: str, encoder: EncoderIdentity, options: IndexOptions
) -> Rebuild:
    """Return the rebuild of `source` that was interrupted, or a new one, whose index is written to now.

    encoder: that of the new index.
    """
    interrupted = unfinished(es, prefix, source, IndexVectors(encoder.encoder_id, options.photos))
    if interrupted is not None:
        start_writing(es, prefix, interrupted.target)
        return interrupted
    target = create_index(es, prefix, encoder, options=options)
    rebuild = Rebuild(source, target, isoformat(datetime.now(UTC)))
    save(es, rebuild)
    start_writing(es, prefix, target)
    return rebuild


def unfinished(es: Elasticsearch, prefix: str, source: str, vectors: IndexVectors) -> Rebuild | None:
    """Return the rebuild of `source` with such vectors that was begun before, if there is one."""
    for meta in _begun(es, prefix):
        if meta[_META]["source"] == source and IndexVectors.from_meta(meta) == vectors:
            return Rebuild(**meta[_META])
    return None


def is_under_way(es: Elasticsearch, prefix: str) -> bool:
    """Return whether an index of the prefix is being filled from another, or was until an interruption."""
    return any(not Rebuild(**meta[_META]).filled for meta in _begun(es, prefix))


def _begun(es: Elasticsearch, prefix: str) -> list[dict[str, Any]]:
    """Return the `_meta` of each index that has the progress of a rebuild."""
    entries = es.indices.get(index=f"{prefix}-*", filter_path=DESCRIPTION)
    return [meta for entry in entries.values() if _META in (meta := meta_of(entry))]


def copy(
    es: Elasticsearch, store: ListingStore, rebuild: Rebuild, progress: Callable[[int], object]
) -> Rebuild:
    """Copy the documents that are left, and return the rebuild with all of them copied.

    progress: called with the number of documents after each page.

    Raises:
        ElasticsearchUnavailable: it does not answer. What was copied stays.
        RebuildFailed: it refuses a document.
    """
    saved = time.monotonic()
    with elasticsearch_errors():
        for hits in left(es, rebuild, with_vectors=True):
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


def left(es: Elasticsearch, rebuild: Rebuild, **options: Any) -> Iterator[list[Hit]]:
    """Yield the documents that are not copied yet, in the order of their ids. options: as in `pages`."""
    everything: Mapping[str, Any] = {"match_all": {}}
    rest = {"range": {"item_id": {"gt": rebuild.after}}} if rebuild.after else everything
    return pages(es, rebuild.source, rest, sort=[{"item_id": "asc"}], **options)


def write(store: ListingStore, index: str, hits: Sequence[Mapping[str, Any]]) -> None:
    """Write the documents of these hits to another index, where that has none of theirs.

    Raises:
        TransientFailure: Elasticsearch does not take them now.
        RebuildFailed: it refuses one for good.
    """
    writes = [DocumentWrite(index, copied(hit)) for hit in hits]
    for each, failure in zip(writes, store.write(writes), strict=True):
        if isinstance(failure, TransientFailure):
            raise failure
        if failure is not None and not isinstance(failure, VersionConflict):
            raise RebuildFailed(
                f"item {each.item_id!r} cannot be copied to {index}: {failure}; "
                "correct the listing, index it again, and repeat the command"
            )


def copied(hit: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document of a hit in the form of this version, with the same vector.

    Raises:
        RebuildFailed: it is not a listing's.
    """
    source = hit["_source"]
    try:
        state = ItemState.of_source(source, hit["_version"])
        indexed_at = datetime.fromisoformat(source["indexed_at"])
        return source_of(
            source["item_id"],
            state,
            photo_in(source),
            source["encoder_id"],
            fingerprint=source.get("image_fingerprint"),
            now=indexed_at,
        )
    except (KeyError, ValueError) as error:
        raise RebuildFailed(
            f"the document of item {hit['_id']!r} cannot be read: {error!r}; index the listing again, and "
            "repeat the command"
        ) from error


def finish(es: Elasticsearch, prefix: str, rebuild: Rebuild) -> None:
    """Put the new index live. The old one is still written to.

    Raises:
        RebuildFailed: the new index has fewer documents than the old one.
    """
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
    forget_progress(es, rebuild)


def forget_progress(es: Elasticsearch, rebuild: Rebuild) -> None:
    """Delete the progress of a rebuild that is finished."""
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
