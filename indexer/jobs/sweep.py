"""Deletion of tombstones that are older than any late event can be."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from elasticsearch import Elasticsearch

from mappings.failures import elasticsearch_errors
from mappings.listing import Status, isoformat
from mappings.names import written_through
from mappings.scan import pages


def sweep(es: Elasticsearch, indices: Iterable[str], older_than: timedelta) -> int:
    """Delete the tombstones that are older, and return how many. One that was replaced meanwhile stays.

    Raises:
        ElasticsearchUnavailable: it does not answer.
    """
    before = isoformat(datetime.now(UTC) - older_than)
    query = {
        "bool": {
            "filter": [{"term": {"status": Status.REMOVED.value}}, {"range": {"indexed_at": {"lt": before}}}]
        }
    }
    with elasticsearch_errors():
        return sum(delete(es, hits) for index in indices for hits in pages(es, index, query))


def delete(es: Elasticsearch, hits: list[dict[str, Any]]) -> int:
    """Delete the documents whose version is still the one they were found with, and return how many."""
    operations = [
        {
            "delete": {
                "_index": written_through(hit["_index"]),
                "_id": hit["_id"],
                "version": hit["_version"],
                "version_type": "external_gte",
            }
        }
        for hit in hits
    ]
    answer = es.bulk(operations=operations, refresh=True)
    return sum(item["delete"]["status"] == 200 for item in answer["items"])
