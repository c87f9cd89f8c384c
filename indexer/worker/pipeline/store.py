"""Listing documents in Elasticsearch, written in the order of their external versions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from elasticsearch import Elasticsearch

from cache.changes import Marking, unmarked
from mappings.aliases import writable_indices
from mappings.errors import ContractError
from mappings.failures import (
    UNAVAILABLE,
    ElasticsearchUnavailable,
    Failure,
    elasticsearch_errors,
    item_failure,
)
from mappings.identity import EncoderIdentity
from mappings.listing import ListingDocument
from mappings.names import written_through

JSON = "application/vnd.elasticsearch+json; compatible-with=9"


@dataclass(frozen=True)
class StoredDocument:
    """A document in an index."""

    version: int
    source: Mapping[str, Any]

    @property
    def vector(self) -> tuple[float, ...] | None:
        """Its unit vector, (dims,), if it has one."""
        vector = self.source.get("vector")
        return tuple(vector) if vector else None


@dataclass(frozen=True)
class VersionedDocument:
    """A document to write to an index unless that has a newer one."""

    index: str
    version: int
    document: ListingDocument


@dataclass(frozen=True)
class ListingStore:
    """The indices of an encoder."""

    es: Elasticsearch
    prefix: str
    identity: EncoderIdentity
    marking: Marking = unmarked
    """What surrounds each write, so that stored answers with the items in it become stale."""

    def indices(self) -> list[str]:
        """Return the indices to write to. Looked up for each chunk, so that a swap takes effect at once.

        Raises:
            ElasticsearchUnavailable: it does not answer, or has no index for this encoder.
        """
        with elasticsearch_errors():
            try:
                return writable_indices(self.es, self.prefix, self.identity)
            except ContractError as error:
                raise ElasticsearchUnavailable("no_index_for_encoder", str(error)) from error

    def read(self, index: str, item_ids: Sequence[str]) -> dict[str, StoredDocument]:
        """Return the stored documents by id, with their vectors.

        Raises:
            ElasticsearchUnavailable: it does not answer.
        """
        if not item_ids:
            return {}
        with elasticsearch_errors():
            # The client's mget has no parameter for vectors, which Elasticsearch leaves out by default.
            answer = self.es.perform_request(
                "POST",
                f"/{index}/_mget?_source_exclude_vectors=false",
                headers={"accept": JSON, "content-type": JSON},
                body={"ids": list(item_ids)},
            )
        for doc in answer["docs"]:
            if "error" in doc:  # a shard that is not ready, which is different from a missing document
                raise ElasticsearchUnavailable(UNAVAILABLE, str(doc["error"])[:500])
        return {
            doc["_id"]: StoredDocument(doc["_version"], doc["_source"])
            for doc in answer["docs"]
            if doc.get("found")
        }

    def write(
        self, documents: Sequence[VersionedDocument], *, over_equal: bool = True
    ) -> list[Failure | None]:
        """Write the documents in one request. Return for each, in order, None or why it was not written.

        over_equal: write over a document of the same version, so that a chunk can be processed twice.

        Raises:
            ElasticsearchUnavailable: it does not answer; some of them may have been written.
            RedisUnavailable: their items cannot be marked as changed; none was written.
        """
        if not documents:
            return []
        with self.marking([entry.document.item_id for entry in documents]), elasticsearch_errors():
            answer = self.es.bulk(operations=list(_operations(documents, over_equal)), require_alias=True)
        results = [item["index"] for item in answer["items"]]
        return [item_failure(result) for result in results]

    def refresh(self) -> None:
        """Make the written documents visible to searches."""
        with elasticsearch_errors():
            self.es.indices.refresh(index=self.indices())


def _operations(documents: Iterable[VersionedDocument], over_equal: bool) -> Iterator[dict[str, Any]]:
    for entry in documents:
        yield {
            "index": {
                "_index": written_through(entry.index),
                "_id": entry.document.item_id,
                "version": entry.version,
                "version_type": "external_gte" if over_equal else "external",
            }
        }
        yield entry.document.to_source()
