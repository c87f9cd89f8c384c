"""Listing documents in Elasticsearch, each written only over what was read before."""

from __future__ import annotations

from base64 import b64encode
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from struct import pack
from typing import Any

import orjson
from elasticsearch import Elasticsearch

from cache.changes import Marking, unmarked
from indexer.worker.pipeline.item_state import ItemState
from mappings.aliases import writable_indices
from mappings.creation import LISTING_FIELDS, ensure_fields
from mappings.errors import ContractError
from mappings.failures import (
    UNAVAILABLE,
    ElasticsearchUnavailable,
    Failure,
    elasticsearch_errors,
    item_failure,
)
from mappings.identity import EncoderIdentity, IndexVectors
from mappings.listing import is_incomplete
from mappings.names import write_alias, written_through

JSON = "application/vnd.elasticsearch+json; compatible-with=9"


@dataclass(frozen=True)
class StoredDocument:
    """A document in an index."""

    source: Mapping[str, Any]
    version: int
    """Elasticsearch's."""
    seq_no: int
    primary_term: int
    """The write that it is from."""

    @classmethod
    def of(cls, hit: Mapping[str, Any]) -> StoredDocument:
        """Return the document in an answer."""
        return cls(hit["_source"], hit["_version"], hit["_seq_no"], hit["_primary_term"])

    @cached_property
    def state(self) -> ItemState:
        """What it says of its item."""
        return ItemState.of_source(self.source, self.version)

    @property
    def is_incomplete(self) -> bool:
        """Whether some of the item's photos could not be used."""
        return is_incomplete(self.source.get("image_fingerprint"))

    @property
    def vector(self) -> tuple[float, ...] | None:
        """Its unit vector, (dims,), if it has one."""
        vector = self.source.get("vector")
        return tuple(vector) if vector else None


@dataclass(frozen=True)
class DocumentWrite:
    """A document to write to an index, unless that changed since it was read."""

    index: str
    source: Mapping[str, Any]
    replaced: StoredDocument | None = None
    """The document that the index had; None if it had none."""

    @property
    def item_id(self) -> str:
        """The item whose document it is."""
        return str(self.source["item_id"])


@dataclass(frozen=True)
class ListingStore:
    """The indices of some encoders."""

    es: Elasticsearch
    prefix: str
    encoders: Sequence[EncoderIdentity]
    marking: Marking = unmarked
    """What surrounds each write, so that stored answers with the items in it become stale."""

    def indices(self) -> dict[str, IndexVectors]:
        """Return the indices to write to, each with what its vectors are of. Looked up for each chunk, so
        that a swap takes effect at once.

        Raises:
            ElasticsearchUnavailable: it does not answer, or there is no index, or one of another encoder.
        """
        with elasticsearch_errors():
            try:
                found = writable_indices(self.es, self.prefix, self.encoders)
                ensure_fields(self.es, found, LISTING_FIELDS)
            except ContractError as error:
                raise ElasticsearchUnavailable("no_index_for_encoder", str(error)) from error
        return found

    def read(self, index: str, item_ids: Sequence[str]) -> dict[str, StoredDocument]:
        """Return the stored documents by id, with their vectors.

        Raises:
            ElasticsearchUnavailable: it does not answer.
        """
        # The client's mget has no parameter for vectors, which Elasticsearch leaves out by default.
        found = self._get(index, item_ids, "_source_exclude_vectors=false")
        return {doc["_id"]: StoredDocument.of(doc) for doc in found}

    def fingerprints(self, item_ids: Collection[str]) -> dict[str, set[str]]:
        """Return the fingerprints of the photos in the items' documents in all indices. Tombstones have none.

        Raises:
            ElasticsearchUnavailable: it does not answer.
        """
        found: defaultdict[str, set[str]] = defaultdict(set)
        for index in self.indices():
            for doc in self._get(index, item_ids, "_source_includes=image_fingerprint"):
                found[doc["_id"]].update(doc["_source"].values())
        return found

    def _get(self, index: str, item_ids: Collection[str], parameters: str) -> list[dict[str, Any]]:
        """Return the stored documents of the items, as Elasticsearch does."""
        if not item_ids:
            return []
        with elasticsearch_errors():
            answer = self.es.perform_request(
                "POST",
                f"/{index}/_mget?{parameters}",
                headers={"accept": JSON, "content-type": JSON},
                body={"ids": list(item_ids)},
            )
        for doc in answer["docs"]:
            if "error" in doc:  # a shard that is not ready, which is different from a missing document
                raise ElasticsearchUnavailable(UNAVAILABLE, str(doc["error"])[:500])
        return [doc for doc in answer["docs"] if doc.get("found")]

    def write(self, writes: Sequence[DocumentWrite]) -> list[Failure | None]:
        """Write the documents in one request. Return for each, in order, None or why it was not written.

        It is a VersionConflict if the index has another document by now than the one to be replaced.

        Raises:
            ElasticsearchUnavailable: it does not answer; some of them may have been written.
            RedisUnavailable: their items cannot be marked as changed; none was written.
        """
        if not writes:
            return []
        with self.marking([write.item_id for write in writes]), elasticsearch_errors():
            lines: list[Any] = list(_operations(writes))
            answer = self.es.bulk(operations=lines, require_alias=True)
        return [item_failure(next(iter(item.values()))) for item in answer["items"]]

    def refresh(self) -> None:
        """Make the written documents visible to searches."""
        with elasticsearch_errors():
            self.es.indices.refresh(index=write_alias(self.prefix))


def _operations(writes: Iterable[DocumentWrite]) -> Iterator[bytes]:
    """Yield the lines of a bulk request. As bytes, because the client's own JSON takes ten times as long."""
    for write in writes:
        target = {"_index": written_through(write.index), "_id": write.item_id}
        if write.replaced is None:
            yield orjson.dumps({"create": target})
        else:
            as_read = {"if_seq_no": write.replaced.seq_no, "if_primary_term": write.replaced.primary_term}
            yield orjson.dumps({"index": target | as_read})
        yield orjson.dumps(_packed(write.source))


def _packed(source: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the document with its vector in base64 of big-endian 32-bit floats, which Elasticsearch reads
    faster than a JSON array (docs/decisions/002-vector-index-type.md).

    Those of further photos stay arrays: a document that is read before the next refresh has nested vectors in
    the form in which they were written.
    """
    vector = source.get("vector")
    if vector is None:
        return source
    return {**source, "vector": b64encode(pack(f">{len(vector)}f", *vector)).decode()}
