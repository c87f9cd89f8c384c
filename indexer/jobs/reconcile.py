"""Comparison of what a source says of its items with what an index has, in constant memory.

The rows of the source are compared chunk by chunk with the documents of their ids. Then the index is searched
for what no row accounts for. Of each row only a hash of eight bytes is kept.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import blake2b
from secrets import token_bytes
from typing import Any, Final

import numpy as np
from elasticsearch import Elasticsearch
from numpy.typing import NDArray

from console.counts import count_of
from indexer.errors import SourceDoubtful
from indexer.intake.submission import chunked
from indexer.jobs.expected_items import Expected, Rejected, json_fields
from indexer.photos.blank import BLANK
from indexer.photos.placeholders import PLACEHOLDER
from indexer.worker.pipeline.documents import NO_PHOTO
from indexer.worker.pipeline.item_state import ItemState, join
from mappings.changes import REFRESH, REMOVE
from mappings.failures import UNAVAILABLE, ElasticsearchUnavailable, elasticsearch_errors
from mappings.listing import Status, instant_of, isoformat
from mappings.scan import Hit, pages

CHUNK: Final = 1_000
"""Documents that are read in one request: about a megabyte."""
NOT_SHOWN: Final = (NO_PHOTO, BLANK, PLACEHOLDER)
"""The reasons of listings that have no photo to compare, however often it is tried."""
PAGE: Final = 5_000
"""Ids a page of the search for extra documents."""


class Kind(StrEnum):
    """The ways in which an index differs from a source."""

    MISSING = "missing"
    STALE = "stale"
    EXTRA = "extra"
    WITHOUT_VECTOR = "without_vector"
    WRONG_ENCODER = "wrong_encoder"
    SAME_TIME = "same_time"
    REJECTED = "rejected"


MEANING: Final[Mapping[Kind, str]] = {
    Kind.MISSING: "in the source, not in the index",
    Kind.STALE: "the row of the source is newer, with other content",
    Kind.EXTRA: "for sale in the index, not in the source",
    Kind.WITHOUT_VECTOR: "the photo could not be used",
    Kind.WRONG_ENCODER: "the vector is of another encoder than that of the index",
    Kind.SAME_TIME: "other content at the same updated_at: the producer must raise it with each change",
    Kind.REJECTED: "the row of the source is not valid",
}


@dataclass(frozen=True)
class Difference:
    """An item of which index and source differ."""

    kind: Kind
    item_id: str
    detail: str
    location: str = ""
    """Its row in the source."""
    events: Sequence[Mapping[str, Any]] = ()
    """What to index for its repair; none if indexing does not repair it."""


class SeenIds:
    """A set of ids as 64-bit hashes: 8 bytes for each row while they are added, 16 afterwards.

    Of a million documents and a million rows, one document is taken for a row of the source by mistake once
    in 18 million runs (n² / 2⁶⁴); the key of the hash is another one in each run.
    """

    def __init__(self) -> None:
        self._key = token_bytes(16)
        self._added = array("Q")
        self._sorted: NDArray[np.uint64] | None = None

    def add(self, item_id: str) -> None:
        """Add an id. Not after the first question."""
        self._added.append(self._hash(item_id))

    def __len__(self) -> int:
        return len(self._unique)

    def __contains__(self, item_id: str) -> bool:
        place = int(np.searchsorted(self._unique, np.uint64(self._hash(item_id))))
        return place < len(self._unique) and int(self._unique[place]) == self._hash(item_id)

    @property
    def _unique(self) -> NDArray[np.uint64]:
        if self._sorted is None:
            self._sorted = np.unique(np.frombuffer(self._added, dtype=np.uint64))
        return self._sorted

    def _hash(self, item_id: str) -> int:
        return int.from_bytes(blake2b(item_id.encode(), digest_size=8, key=self._key).digest())


@dataclass
class Comparison:
    """One comparison of a source with an index."""

    es: Elasticsearch
    index: str
    encoder_id: str
    """That of the index."""
    rows: int = 0
    newer: int = 0
    """Rows that are older than what the index has, as after changes of single fields."""
    unnamed: int = 0
    """Rows without a readable item id: any extra document may be theirs."""
    newest: int = 0
    """The newest version of the source."""
    seen: SeenIds = field(default_factory=SeenIds)

    def of_source(self, items: Iterable[Expected | Rejected]) -> Iterator[Difference]:
        """Yield the items of the source that the index lacks or has in an older state.

        Raises:
            ElasticsearchUnavailable: it does not answer.
        """
        with ThreadPoolExecutor(1) as pool:
            read: tuple[list[Expected | Rejected], Future[dict[str, ItemState]]] | None = None
            for chunk in chunked(items, CHUNK):
                ids = [each.item_id for each in chunk if isinstance(each, Expected)]
                # While Elasticsearch reads these, the chunk before is compared and the next one is parsed.
                reading = pool.submit(stored_states, self.es, self.index, ids)
                if read is not None:
                    yield from self._compared(*read)
                read = chunk, reading
            if read is not None:
                yield from self._compared(*read)

    def _compared(
        self, chunk: Sequence[Expected | Rejected], reading: Future[dict[str, ItemState]]
    ) -> Iterator[Difference]:
        stored = reading.result()
        for each in chunk:
            yield from self._compared_row(each, stored)

    def _compared_row(
        self, each: Expected | Rejected, stored: Mapping[str, ItemState]
    ) -> Iterator[Difference]:
        self.rows += 1
        if each.item_id:
            self.seen.add(each.item_id)
        else:
            self.unnamed += 1
        if isinstance(each, Rejected):
            yield Difference(Kind.REJECTED, each.item_id, each.detail, each.location)
            return
        self.newest = max(self.newest, each.state.latest)
        found = stored.get(each.item_id)
        self.newer += bool(found and instant_of(found.latest) > instant_of(each.state.latest))
        difference = difference_of(each, found)
        if difference is not None:
            yield difference

    def extras(self, as_of: int) -> Iterator[Difference]:
        """Yield the items that are for sale in the index and in no row, and are not newer than `as_of`.

        Raises:
            ElasticsearchUnavailable: it does not answer.
        """
        until = _moment_of(as_of)
        query = {
            "bool": {
                "filter": [
                    {"term": {"status": Status.ON_SALE.value}},
                    {"range": {"updated_at": {"lte": until}}},
                ]
            }
        }
        for hit in self._hits(query, ("updated_at",)):
            if hit["_id"] not in self.seen:
                removal = {"op": REMOVE, "item_id": hit["_id"], "updated_at": until}
                since = f"for sale since {hit['_source']['updated_at']}"
                yield Difference(Kind.EXTRA, hit["_id"], since, events=(removal,))

    def unsearchable(self) -> Iterator[Difference]:
        """Yield the items of the index whose photo could not be used, or was encoded by another encoder.

        Raises:
            ElasticsearchUnavailable: it does not answer.
        """
        no_vector = {
            "must_not": [{"exists": {"field": "vector"}}, {"terms": {"photo_problem": NOT_SHOWN}}],
        }
        other = {"must_not": [{"term": {"encoder_id": self.encoder_id}}]}
        query = {
            "bool": {
                "must_not": [{"term": {"status": Status.REMOVED.value}}],
                "should": [{"bool": no_vector}, {"bool": other}],
                "minimum_should_match": 1,
            }
        }
        for hit in self._hits(query, ("encoder_id", "photo_problem")):
            source = hit["_source"]
            if source["encoder_id"] != self.encoder_id:
                kind, detail = Kind.WRONG_ENCODER, source["encoder_id"]
            else:
                kind, detail = Kind.WITHOUT_VECTOR, source.get("photo_problem") or "vector missing"
            yield Difference(kind, hit["_id"], detail, events=({"op": REFRESH, "item_id": hit["_id"]},))

    def counts(self) -> tuple[int, int, int]:
        """Return the numbers of documents that are not removed, that are for sale, and without photos."""
        counted = (
            {"bool": {"must_not": [{"term": {"status": Status.REMOVED.value}}]}},
            {"term": {"status": Status.ON_SALE.value}},
            {"term": {"photo_problem": NO_PHOTO}},
        )
        with elasticsearch_errors():
            listed, on_sale, no_photo = (
                int(self.es.count(index=self.index, query=query)["count"]) for query in counted
            )
        return listed, on_sale, no_photo

    def _hits(self, query: Mapping[str, Any], fields: Sequence[str]) -> Iterator[Hit]:
        with elasticsearch_errors():
            for page in pages(self.es, self.index, query, fields=fields, size=PAGE):
                yield from page


def check_removal(comparison: Comparison, extra: int, most: float) -> None:
    """Check that the source is complete enough for what it lacks to be removed.

    extra: the number of extra items. most: the largest share of what is for sale that may be removed.

    Raises:
        SourceDoubtful: it has no item or rows without an item id, or it lacks more than that.
    """
    _, on_sale, _ = comparison.counts()
    if comparison.unnamed:
        found = f"{count_of(comparison.unnamed, 'row')} of the source without a readable item_id"
    elif not len(comparison.seen):
        found = "no item in the source"
    elif extra > most * on_sale:
        found = f"{extra:,} of {on_sale:,} listings for sale not in the source, more than {most:.0%}"
    else:
        return
    raise SourceDoubtful(
        f"Nothing was removed: found {found}. Check that the source is complete (--report FILE lists the "
        "extra items), then correct it or raise --max-extra."
    )


def difference_of(expected: Expected, stored: ItemState | None) -> Difference | None:
    """Return how what is stored of an item differs from its row; None if it does not.

    A row is accounted for if it adds nothing to what is stored, or nothing but a later `updated_at`: then its
    fields arrived one by one.
    """
    state = expected.state
    if stored is None or not (stored.is_known or stored.removal):
        if state.is_known and not state.is_removed:
            return _difference(Kind.MISSING, expected, f"updated_at {_moment(state)}")
        return None
    if state.version == stored.version and state.is_known:
        return None
    joined = join([stored, state])
    if joined.versions != stored.versions:
        changed = _changed(stored, joined)
        moments = f"{_moment(stored)} in the index, {_moment(state)} in the source"
        return _difference(Kind.STALE, expected, f"{changed}: {moments}") if changed else None
    if stored.is_removed or not state.is_known or _moment_of(state.version) != _moment_of(stored.version):
        return None
    changed = _changed(ItemState(stored.version, stored.fields), state)
    return _difference(Kind.SAME_TIME, expected, changed) if changed else None


def _difference(kind: Kind, expected: Expected, detail: str) -> Difference:
    events = () if kind is Kind.SAME_TIME else expected.events
    return Difference(kind, expected.item_id, detail, expected.location, events)


def stored_states(es: Elasticsearch, index: str, item_ids: Sequence[str]) -> dict[str, ItemState]:
    """Return the states of those items that the index has.

    Raises:
        ElasticsearchUnavailable: it does not answer.
    """
    if not item_ids:
        return {}
    with elasticsearch_errors():
        answer = es.mget(index=index, ids=list(dict.fromkeys(item_ids)))
    for doc in answer["docs"]:
        if "error" in doc:  # a shard that is not ready, which is different from a missing document
            raise ElasticsearchUnavailable(UNAVAILABLE, str(doc["error"])[:500])
    found = (doc for doc in answer["docs"] if doc.get("found"))
    return {doc["_id"]: ItemState.of_source(doc["_source"], doc["_version"]) for doc in found}


def _changed(before: ItemState, after: ItemState) -> str:
    """Return the names of the fields that differ."""
    one, other = json_fields(before), json_fields(after)
    return ", ".join(name for name in sorted(one.keys() | other.keys()) if one.get(name) != other.get(name))


def _moment(state: ItemState) -> str:
    return _moment_of(state.latest)


def _moment_of(version: int) -> str:
    return isoformat(instant_of(version))
