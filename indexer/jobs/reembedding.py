"""Change of the encoder of the live index: a new index is filled beside it, and put live once it is as good.

From the beginning on, workers with both encoders write every event to both indices. What the old one holds by
then is refreshed item by item through the queue, behind live events. The progress is kept in the new index.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import redis
from elasticsearch import Elasticsearch

from indexer.errors import RebuildFailed
from indexer.intake.submission import Submission, chunked
from indexer.jobs.rebuild import SAVED_EVERY_S, Rebuild, left, save
from mappings.aliases import swap_aliases
from mappings.changes import OPERATION, REFRESH
from mappings.failures import elasticsearch_errors
from mappings.inspection import indices_behind, meta_of, only_index
from mappings.listing import isoformat
from mappings.names import read_alias, write_alias

REPLACED: Final = "replaced"
"""In the `_meta` of a live index: the index that was live before."""
KEPT_UNTIL: Final = "kept_until"
"""In the `_meta` of an index that was live: until when it is written, to be live again at once if need be."""


class Pause:
    """Whether re-embedding is to pause, as any process can say."""

    def __init__(self, client: redis.Redis, prefix: str) -> None:
        self._client = client
        self._key = f"{prefix}:reembedding-paused"

    def __bool__(self) -> bool:
        return bool(self._client.exists(self._key))

    def set(self) -> None:
        """Let a running backfill stop after what it has sent."""
        self._client.set(self._key, "1")

    def clear(self) -> None:
        """Let the next one run."""
        self._client.delete(self._key)


def refresh(item_id: str) -> dict[str, Any]:
    """Return the event that brings the documents of an item up to date in every index."""
    return {OPERATION: REFRESH, "item_id": item_id}


def backfill(
    es: Elasticsearch,
    rebuild: Rebuild,
    submission: Submission,
    batch_size: int,
    stop: Callable[[], bool],
    pending: Callable[[Sequence[str]], Sequence[str]] = list,
) -> Rebuild:
    """Refresh the items that are left, in the order of their ids, and return the rebuild as far as it got.

    stop: asked before each chunk; when it is true, what was sent is waited for, and no more is sent.
    pending: which of a chunk's items are refreshed; the others are done.

    Raises:
        ElasticsearchUnavailable, QueueUnavailable, ResultMissing: what was done is kept.
    """
    saved, begun = time.monotonic(), rebuild.copied
    before: dict[str, str | None] = {}
    last = rebuild.after
    done, skipped = submission.summary.total, 0
    stopped = filled = False

    def reached() -> Rebuild:
        """The rebuild up to the oldest chunk that has no result yet."""
        oldest = next(iter(submission.pending.values()), None)
        after = before[oldest[0]["item_id"]] if oldest else last
        copied = begun + skipped + submission.summary.total - done
        return replace(rebuild, copied=copied, after=after, filled=filled)

    try:
        for items in chunked(_ids(es, rebuild), batch_size):
            if stopped := stop():
                break
            if waiting := pending(items):
                before[waiting[0]] = last
                submission.send([refresh(item) for item in waiting])
            skipped += len(items) - len(waiting)
            last = items[-1]
            if time.monotonic() - saved > SAVED_EVERY_S:
                save(es, reached())
                saved = time.monotonic()
        submission.finish()
        filled = not stopped
    finally:
        save(es, reached())
    return reached()


def lacking(es: Elasticsearch, index: str, item_ids: Sequence[str]) -> list[str]:
    """Return the items of which an index has no document."""
    with elasticsearch_errors():
        answer = es.mget(index=index, ids=list(item_ids), source=False)
    return [doc["_id"] for doc in answer["docs"] if not doc.get("found")]


def _ids(es: Elasticsearch, rebuild: Rebuild) -> Iterator[str]:
    with elasticsearch_errors():
        for hits in left(es, rebuild, fields=["item_id"]):
            yield from (hit["_source"]["item_id"] for hit in hits)


def put_live(es: Elasticsearch, prefix: str, rebuild: Rebuild, keep: timedelta) -> None:
    """Point the read alias at the new index. The old one is written for as long as it is kept."""
    _remember(es, rebuild.target, rebuild.source, keep)
    swap_aliases(es, prefix, rebuild.target)


def put_arm(es: Elasticsearch, arm_prefix: str, index: str) -> None:
    """Point the read alias of an experiment's arm at an index that the live feed fills."""
    before = indices_behind(es, read_alias(arm_prefix))
    actions: list[dict[str, Any]] = [
        {"remove": {"index": old, "alias": read_alias(arm_prefix)}} for old in before if old != index
    ]
    es.indices.update_aliases(actions=[*actions, {"add": {"index": index, "alias": read_alias(arm_prefix)}}])


def roll_back(es: Elasticsearch, prefix: str, keep: timedelta) -> tuple[str, str]:
    """Put the index live that was live before, and return the names of both: what was live, what is.

    Raises:
        RebuildFailed: there is none, or it was not kept up to date.
    """
    live, entry = only_index(es, read_alias(prefix))
    before = meta_of(entry).get(REPLACED)
    if before is None:
        raise RebuildFailed(f"{live} has not replaced another index, so there is none to go back to")
    if before not in indices_behind(es, write_alias(prefix)):
        raise RebuildFailed(
            f"{before}, which was live before {live}, is not written any more: its time was over, or it was "
            "stopped; `nitamono indexer reembed` with its encoder builds a new index"
        )
    _remember(es, before, live, keep)
    swap_aliases(es, prefix, before)
    return live, before


def retire(es: Elasticsearch, prefix: str, *, now: datetime | None = None) -> list[str]:
    """Delete the replaced indices whose time is over, and return their names."""
    live = indices_behind(es, read_alias(prefix))
    moment = isoformat(now or datetime.now(UTC))
    expired = [
        name
        for name, entry in indices_behind(es, write_alias(prefix)).items()
        if name not in live and meta_of(entry).get(KEPT_UNTIL, moment) < moment
    ]
    for name in expired:
        es.indices.delete(index=name)
    return expired


def _remember(es: Elasticsearch, live: str, replaced: str, keep: timedelta) -> None:
    """Note in both indices which one replaces which, and until when the other one is kept."""
    until = isoformat(datetime.now(UTC) + keep)
    old, new = (meta_of(only_index(es, name)[1]) for name in (replaced, live))
    es.indices.put_mapping(index=replaced, meta={**old, KEPT_UNTIL: until})
    kept = {key: value for key, value in new.items() if key != KEPT_UNTIL}
    es.indices.put_mapping(index=live, meta={**kept, REPLACED: replaced})
