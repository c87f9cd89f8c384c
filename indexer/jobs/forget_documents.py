"""Forgetting of documents: each is replaced by a tombstone with its id and a version, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from elasticsearch import Elasticsearch

from cache.changes import Marking
from indexer.intake.submission import chunked
from indexer.jobs.forget_subject import Subject
from indexer.worker.pipeline.documents import EncodedPhoto, photo_in, source_of
from indexer.worker.pipeline.item_state import ItemState
from indexer.worker.pipeline.store import DocumentWrite, ListingStore, StoredDocument
from mappings.creation import FURTHER_PHOTOS, LISTING_FIELDS, add_fields
from mappings.failures import VersionConflict, elasticsearch_errors
from mappings.identity import EncoderIdentity
from mappings.lifecycle import IndexState, list_indices
from mappings.listing import CLOCK_SKEW, UNKNOWN, Status, status_version
from mappings.names import write_alias, written_through
from mappings.scan import pages

AT_ONCE: Final = 500
ROUNDS: Final = 5
"""A worker that has read an item before it is forgotten writes what it read once more; so often at most."""


@dataclass
class Traces:
    """What was stored of the items beside their ids, in memory only: to look for it elsewhere."""

    titles: set[str]
    vectors: set[bytes]
    """As Lucene stores them: 32-bit floats, little-endian."""
    images: set[str]

    @classmethod
    def none(cls) -> Traces:
        """Return no traces."""
        return cls(set(), set(), set())

    def add(self, document: StoredDocument) -> None:
        """Add those of a document."""
        source = document.source
        if source.get("title"):
            self.titles.add(source["title"])
        self.images.update(source.get("images", ()))
        photo = photo_in(source)
        for vector in (photo.vector, *photo.further) if isinstance(photo, EncodedPhoto) else ():
            self.vectors.add(np.asarray(vector, dtype="<f4").tobytes())


def forgotten_version(now: datetime | None = None) -> int:
    """Return the version of a tombstone: later than every event that a worker accepts by now.

    Events may be dated up to CLOCK_SKEW ahead, so a later one is from after the tombstone.
    """
    return status_version((now or datetime.now(UTC)) + CLOCK_SKEW, Status.REMOVED) | 0x1FF


def is_forgotten(source: dict[str, Any]) -> bool:
    """Return whether a document has nothing of a listing but its id."""
    kept = ("title", "vector", "changes", "popularity", "price", "images", "attributes", "image_hash")
    return (
        source["status"] == Status.REMOVED
        and source["seller_id"] == UNKNOWN["seller_id"]
        and not any(source.get(name) for name in (*kept, FURTHER_PHOTOS))
    )


@dataclass(frozen=True)
class ForgottenDocuments:
    """The documents of all indices of a prefix: live ones, old ones, and those that are being filled."""

    es: Elasticsearch
    prefix: str
    marking: Marking
    name: str = "documents"

    def indices(self) -> list[IndexState]:
        """Return the indices; a closed one cannot be read."""
        with elasticsearch_errors():
            return list_indices(self.es, self.prefix)

    def items_of(self, seller_id: str) -> set[str]:
        """Return the items of a seller, removed ones included."""
        return {item for index in self._open() for item in self._items_in(index, seller_id)}

    def forget(self, subject: Subject, traces: Traces) -> int:
        """Replace the documents by tombstones, add to the traces, and return how many were replaced.

        An index that is written gets a tombstone for an item that it does not have, so that an event that is
        still queued does not create it.

        Raises:
            ElasticsearchUnavailable: it does not answer, or an index does not accept writes.
        """
        version = forgotten_version()
        replaced: set[tuple[str, str]] = set()
        for _ in range(ROUNDS):
            found = [
                each for index in self._open() for each in self._outstanding(index, sorted(subject.item_ids))
            ]
            if not found:
                break
            for write in found:
                if write.replaced is not None:
                    traces.add(write.replaced)
            replaced |= self._write(found, version)
        with elasticsearch_errors():
            for index in self._open():
                self.es.indices.refresh(index=index.name)
        return len(replaced)

    def remaining(self, subject: Subject) -> int:
        """Return how many documents have anything of the subject."""
        by_seller = {
            (index.name, item)
            for index in self._open()
            for item in (self._items_in(index, subject.seller_id) if subject.seller_id else ())
        }
        by_item = {
            (index.name, each.item_id)
            for index in self._open()
            for each in self._outstanding(index, sorted(subject.item_ids))
            if each.replaced is not None
        }
        return len(by_seller | by_item)

    def _open(self) -> list[IndexState]:
        return [index for index in self.indices() if index.documents is not None]

    def _items_in(self, index: IndexState, seller_id: str) -> Iterator[str]:
        with elasticsearch_errors():
            for page in pages(self.es, index.name, {"term": {"seller_id": seller_id}}, fields=("item_id",)):
                yield from (hit["_id"] for hit in page)

    def _outstanding(self, index: IndexState, item_ids: Sequence[str]) -> Iterator[Outstanding]:
        """Yield the items that have more than a tombstone in an index, or need one."""
        store = self._store(index)
        for part in chunked(item_ids, AT_ONCE):
            stored = store.read(index.name, part)
            for item_id in part:
                document = stored.get(item_id)
                if document is None and write_alias(self.prefix) not in index.aliases:
                    continue
                if document is None or not is_forgotten(dict(document.source)):
                    yield Outstanding(index, item_id, document)

    def _write(self, found: Iterable[Outstanding], version: int) -> set[tuple[str, str]]:
        """Write the tombstones, and return index and item of the documents that were replaced."""
        tombstone = ItemState(version, {}, {}, version)
        done: set[tuple[str, str]] = set()
        for part in chunked(found, AT_ONCE):
            for index in {each.index.name: each.index for each in part}.values():
                self._prepare(index)
                of_index = [each for each in part if each.index.name == index.name]
                writes = [
                    DocumentWrite(
                        index.name,
                        source_of(each.item_id, tombstone, None, index.encoder_id),
                        each.replaced,
                    )
                    for each in of_index
                ]
                failures = self._store(index).write(writes)
                for each, failure in zip(of_index, failures, strict=True):
                    if failure is None:
                        done |= {(index.name, each.item_id)} if each.replaced else set()
                    elif not isinstance(failure, VersionConflict):
                        raise failure
        return done

    def _prepare(self, index: IndexState) -> None:
        """Let an index of an earlier version take the tombstones of this one."""
        with elasticsearch_errors():
            add_fields(self.es, index.name, LISTING_FIELDS)
            self.es.indices.put_alias(index=index.name, name=written_through(index.name))

    def _store(self, index: IndexState) -> ListingStore:
        identity = EncoderIdentity(index.encoder_id, 0, 0.0, 0.0)
        return ListingStore(self.es, self.prefix, [identity], self.marking)


@dataclass(frozen=True)
class Outstanding:
    """An item that has more than a tombstone in an index, or needs one there."""

    index: IndexState
    item_id: str
    replaced: StoredDocument | None
