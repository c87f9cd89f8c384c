"""Deleted documents, taken out of the files of an index.

A document that is deleted or replaced stays in its segment until that is merged. Elasticsearch keeps it even
then while a replica might need the operation to catch up: until the retention leases have passed it, which it
moves every 30 seconds. And a forced merge leaves out segments with less than 10 % deleted documents unless
told otherwise. So the purge waits for the leases, and merges every segment with a deleted document.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

from elasticsearch import Elasticsearch

from mappings.failures import elasticsearch_errors

THRESHOLD: Final = "index.merge.policy.expunge_deletes_allowed"
POLL_S: Final = 2.0
MERGE_TIMEOUT_S: Final = 3600.0
"""Of one request. A merge of a million vectors takes minutes."""


def purge(es: Elasticsearch, index: str, *, patience_s: float) -> int:
    """Merge what was deleted by now out of the segments, and return how many documents may be left in them.

    patience_s: the time to wait for the retention leases.

    Raises:
        ElasticsearchUnavailable: it does not answer.
    """
    with elasticsearch_errors():
        es.indices.flush(index=index, wait_if_ongoing=True)
        if not sum(_deleted(es, index).values()):
            return 0
        written = {shard: stats["seq_no"]["max_seq_no"] for shard, stats in _shards(es, index).items()}
        deadline = time.monotonic() + patience_s
        while not _are_released(es, index, written) and time.monotonic() < deadline:
            time.sleep(POLL_S)
        es.indices.put_settings(index=index, settings={THRESHOLD: 0})
        try:
            return _merged(es, index)
        finally:
            es.indices.put_settings(index=index, settings={THRESHOLD: None})


def deleted_documents(es: Elasticsearch, index: str) -> int:
    """Return how many deleted documents the segments of an index have.

    Raises:
        ElasticsearchUnavailable: it does not answer.
    """
    with elasticsearch_errors():
        return sum(_deleted(es, index).values())


def _merged(es: Elasticsearch, index: str) -> int:
    """Merge the segments with deleted documents; return how many are left in those that there were before.

    An index that is written meanwhile has new ones, which are of no concern here.
    """
    # A new commit, of which the operations that the leases have released are no part.
    es.indices.flush(index=index, force=True, wait_if_ongoing=True)
    before = _deleted(es, index)
    slow = es.options(request_timeout=MERGE_TIMEOUT_S)
    slow.indices.forcemerge(index=index, only_expunge_deletes=True)
    es.indices.flush(index=index, force=True, wait_if_ongoing=True)
    after = _deleted(es, index)
    return sum(count for segment, count in after.items() if segment in before)


def _deleted(es: Elasticsearch, index: str) -> dict[tuple[str, str, str], int]:
    """Return the number of deleted documents of each segment that has some, by node, shard and name."""
    answer = es.indices.segments(index=index)
    return {
        (copy["routing"]["node"], shard, name): segment["deleted_docs"]
        for found in answer["indices"].values()
        for shard, copies in found["shards"].items()
        for copy in copies
        for name, segment in copy["segments"].items()
        if segment["deleted_docs"]
    }


def _are_released(es: Elasticsearch, index: str, written: Mapping[str, int]) -> bool:
    """Return whether no retention lease holds what was written."""
    return all(
        lease["retaining_seq_no"] > written[shard]
        for shard, stats in _shards(es, index).items()
        for lease in stats["retention_leases"]["leases"]
    )


def _shards(es: Elasticsearch, index: str) -> dict[str, dict[str, Any]]:
    """Return the statistics of each primary shard."""
    answer = es.indices.stats(index=index, level="shards")
    return {
        shard: next(copy for copy in copies if copy["routing"]["primary"])
        for found in answer["indices"].values()
        for shard, copies in found["shards"].items()
    }
