"""All hits of a query, page by page, and their deletion."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, groupby
from typing import Any, Final

from elasticsearch import Elasticsearch

from console.counts import count_of
from mappings.failures import UNAVAILABLE, ElasticsearchUnavailable, elasticsearch_errors

PAGE: Final = 500
"""Hits a page: a megabyte or two of events."""
KEEP_ALIVE: Final = "5m"
"""The longest time between two pages, which includes the processing of a page."""

Hit = dict[str, Any]


def in_order(pages: Iterable[Sequence[Hit]]) -> Iterator[Hit]:
    """Yield the hits of sorted pages, those of equal sort values by id: the same order at each call.

    Elasticsearch breaks ties by where a document is stored, which moves, and cannot sort by `_id`.
    """
    for _, equal in groupby(chain.from_iterable(pages), key=lambda hit: hit["sort"][:-1]):
        yield from sorted(equal, key=lambda hit: str(hit["_id"]))


def pages(
    es: Elasticsearch,
    index: str,
    query: Mapping[str, Any],
    *,
    sort: Sequence[Mapping[str, Any]] = (),
    with_vectors: bool = False,
    fields: Sequence[str] | None = None,
    size: int = PAGE,
    missing_ok: bool = False,
) -> Iterator[list[Hit]]:
    """Yield all current hits of a query, page by page.

    Each hit has `_version`, `_seq_no` and `_primary_term`, so that a change can require that it is as it was
    read.

    fields: those to read of each document; None for all. size: the number of hits a page.
    missing_ok: yield nothing if there is no index; by default the client's NotFoundError is raised.
    """
    es.indices.refresh(index=index, allow_no_indices=True, ignore_unavailable=missing_ok)
    point = es.open_point_in_time(index=index, keep_alive=KEEP_ALIVE, ignore_unavailable=missing_ok)["id"]
    after: list[Any] | None = None
    try:
        while True:
            answer = es.search(
                pit={"id": point, "keep_alive": KEEP_ALIVE},
                query=query,
                sort=[*sort, {"_shard_doc": "asc"}],
                search_after=after,
                size=size,
                source_exclude_vectors=not with_vectors,
                source_includes=fields,
                version=True,
                seq_no_primary_term=True,
                track_total_hits=False,
                allow_partial_search_results=False,
            )
            point, hits = answer["pit_id"], answer["hits"]["hits"]
            if hits:
                yield hits
            if len(hits) < size:
                return
            after = hits[-1]["sort"]
    finally:
        es.close_point_in_time(id=point)


def delete_as_read(es: Elasticsearch, hits: Sequence[Hit]) -> int:
    """Delete the hits and return how many; one that was written again since it was read stays.

    Raises:
        ElasticsearchUnavailable: one could not be deleted for another reason.
    """
    if not hits:
        return 0
    operations = [{"delete": _as_read(hit)} for hit in hits]
    with elasticsearch_errors():
        answer = es.bulk(operations=operations, refresh=True)
    results = [entry["delete"] for entry in answer["items"]]
    failed = [result for result in results if result["status"] not in {200, 404, 409}]
    if failed:
        detail = f"{count_of(len(failed), 'document')} could not be deleted: {failed[0].get('error')}"
        raise ElasticsearchUnavailable(UNAVAILABLE, detail)
    return sum(result["status"] == 200 for result in results)


def _as_read(hit: Hit) -> dict[str, Any]:
    return {
        "_index": hit["_index"],
        "_id": hit["_id"],
        "if_seq_no": hit["_seq_no"],
        "if_primary_term": hit["_primary_term"],
    }
