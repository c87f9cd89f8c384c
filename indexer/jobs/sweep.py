"""Deletion of tombstones that are older than any late event can be."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from elasticsearch import Elasticsearch

from mappings.failures import elasticsearch_errors
from mappings.listing import Status, isoformat
from mappings.scan import delete_as_read, pages


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
        return sum(delete_as_read(es, hits) for index in indices for hits in pages(es, index, query))
