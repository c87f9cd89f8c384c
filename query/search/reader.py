"""All reads from Elasticsearch. Its failures are raised as `query.search.errors`."""

from __future__ import annotations

import math
import time
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final, cast
from urllib.parse import quote

import numpy as np
import orjson
from elasticsearch import (
    ApiError,
    AuthorizationException,
    BadRequestError,
    ConnectionTimeout,
    Elasticsearch,
    NotFoundError,
    TransportError,
)
from numpy.typing import NDArray

from mappings.creation import FURTHER_PHOTOS
from mappings.errors import IndexMissing, MappingMismatch
from mappings.identity import EncoderIdentity, IndexVectors
from mappings.inspection import identity_of, index_vectors, only_index, resolve
from mappings.listing import UNKNOWN, ListingDocument, Status
from mappings.names import read_alias
from query.search.errors import NoLiveIndex, SearchUnavailable, UnknownItem
from query.search.hits import Hit
from settings.errors import ELASTICSEARCH, RAISE_TIMEOUT, how_to_start

_JSON_HEADERS: Final = dict.fromkeys(
    ("accept", "content-type"), "application/vnd.elasticsearch+json; compatible-with=9"
)
_REFUSED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS})


@dataclass(frozen=True)
class Answer:
    """Elasticsearch's response to one search."""

    hits: tuple[Hit, ...]
    total: int | None
    aggregations: dict[str, Any]


@dataclass(frozen=True)
class Found:
    """A document, and the index (not an alias) that it was found in."""

    document: ListingDocument
    index: str


@dataclass
class RequestDeadline:
    """The time that one request may wait for Elasticsearch, over all its calls. Seconds."""

    total_s: float
    clock: Callable[[], float] = time.monotonic
    waited_by_stage_s: dict[str, float] = field(default_factory=dict)
    """Name of a stage to the seconds that it waited for Elasticsearch, in the order of their beginning."""
    _stage: str = "index"
    _started: float = field(init=False)

    def __post_init__(self) -> None:
        self._started = self.clock()

    def left_s(self) -> float:
        """Seconds left for the next call.

        Raises:
            SearchUnavailable: the time is used up.
        """
        left = self.total_s - (self.clock() - self._started)
        if left <= 0:
            raise SearchUnavailable(f"Elasticsearch took longer than {self.total_s:g} s; {RAISE_TIMEOUT}")
        return left

    def elapsed_s(self) -> float:
        """Seconds since the request arrived."""
        return self.clock() - self._started

    @property
    def waited_s(self) -> float:
        """Seconds spent waiting for Elasticsearch."""
        return sum(self.waited_by_stage_s.values())

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the waiting inside as that of a stage."""
        before, self._stage = self._stage, name
        try:
            yield
        finally:
            self._stage = before

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the time inside as spent waiting for Elasticsearch."""
        before = self.clock()
        try:
            yield
        finally:
            waited = self.clock() - before
            self.waited_by_stage_s[self._stage] = self.waited_by_stage_s.get(self._stage, 0.0) + waited


class IndexReader:
    """Reader of the live index. Safe to share between threads."""

    def __init__(self, es: Elasticsearch, prefix: str, timeout_s: float) -> None:
        self.prefix = prefix
        self._alias = read_alias(prefix)
        self.timeout_s = timeout_s
        # A call that timed out is not tried again: the request it belongs to has no time left either.
        # One that found its node gone still goes to the next node.
        self._es = es.options(retry_on_timeout=False)
        self._with_timeout = lru_cache(maxsize=128)(self._tenths)
        self._described: dict[str, tuple[EncoderIdentity, IndexVectors]] = {}
        self._uuids: dict[str, str] = {}

    def deadline(self) -> RequestDeadline:
        """The deadline of a request that begins now."""
        return RequestDeadline(self.timeout_s)

    def find(self, item_id: str, deadline: RequestDeadline) -> Found:
        """Find the stored document of an item, with its vector.

        Raises:
            UnknownItem: there is none.
            NoLiveIndex, SearchUnavailable
        """
        with deadline.stage("item"):
            answer = self._get(item_id, deadline)
        self.identity(answer["_index"], deadline)  # what a foreign index has, or has not, says nothing
        document = _known(answer["_source"]) if answer["found"] else None
        if document is None:
            raise UnknownItem(item_id)
        return Found(document, answer["_index"])

    def _get(self, item_id: str, deadline: RequestDeadline) -> dict[str, Any]:
        with _translated(), deadline.waiting():
            es = self._within(deadline)
            try:
                return dict(es.get(index=self._alias, id=item_id, source_exclude_vectors=False))
            except NotFoundError as error:
                if isinstance(error.body, dict) and error.body.get("found") is False:
                    return error.body
                raise
            except BadRequestError:  # an alias of several indices, or a closed one
                resolve(es, self._alias)
                raise

    def identity(self, index: str, deadline: RequestDeadline) -> EncoderIdentity:
        """The encoder of an index.

        Raises:
            NoLiveIndex, SearchUnavailable
        """
        return self._description(index, deadline)[0]

    def photos(self, index: str, deadline: RequestDeadline) -> int:
        """The number of first photos of a listing that have a vector each in an index.

        Raises:
            NoLiveIndex, SearchUnavailable
        """
        return self._description(index, deadline)[1].photos

    def _description(self, index: str, deadline: RequestDeadline) -> tuple[EncoderIdentity, IndexVectors]:
        """What the vectors of an index are of. It never changes, so it is read once for each index."""
        if index not in self._described:
            with _translated(), deadline.waiting():
                es = self._within(deadline)
                if index == self._alias:  # an index of the alias's name, which only `resolve` refuses
                    resolve(es, index)
                name, entry = only_index(es, index)
                self._described[index] = identity_of(name, entry), index_vectors(entry)
        return self._described[index]

    def uuid(self, index: str, deadline: RequestDeadline) -> str:
        """The UUID of an index, which no other index of the same name has. It is read once for each index.

        Raises:
            NoLiveIndex, SearchUnavailable
        """
        if index not in self._uuids:
            with _translated(), deadline.waiting():
                answer = self._within(deadline).indices.get_settings(index=index, name="index.uuid")
            self._uuids[index] = answer[index]["settings"]["index"]["uuid"]
        return self._uuids[index]

    def state(self, index: str, deadline: RequestDeadline) -> str:
        """A text that differs whenever searches of the index may find something else.

        It is the documents of each segment that is searched, in every copy of every shard. A merge changes
        it, too. It is empty if the credentials lack the privilege `monitor`.

        Raises:
            NoLiveIndex, SearchUnavailable
        """
        segment = "indices.*.shards.*.segments.*"
        fields = [f"{segment}.{name}" for name in ("num_docs", "deleted_docs", "search")]
        with _translated(), deadline.waiting():
            try:
                answer = self._within(deadline).indices.segments(index=index, filter_path=fields)
            except AuthorizationException:
                return ""
        return orjson.dumps(answer.body, option=orjson.OPT_SORT_KEYS).decode()

    def counts(self, index: str, deadline: RequestDeadline) -> tuple[int, int]:
        """The number of listings for sale in an index, and of those with a vector.

        Raises:
            NoLiveIndex, SearchUnavailable
        """
        body = {
            "size": 0,
            "track_total_hits": True,
            "query": {"term": {"status": Status.ON_SALE.value}},
            "aggs": {"encoded": {"filter": {"exists": {"field": "vector"}}}},
        }
        answer = self._search(index, body, deadline, None)
        return answer["hits"]["total"]["value"], answer["aggregations"]["encoded"]["doc_count"]

    def live(self, deadline: RequestDeadline) -> tuple[str, EncoderIdentity]:
        """The one index behind the read alias, and its encoder; looked up at each call.

        Raises:
            NoLiveIndex, SearchUnavailable
        """
        with _translated(), deadline.waiting():
            return resolve(self._within(deadline), self._alias)

    def search(
        self, index: str, body: dict[str, Any], deadline: RequestDeadline, *, copy: str | None = None
    ) -> Answer:
        """Run one search.

        copy: searches with the same text are answered by the same copy of each shard, others by any. Copies
            merge their segments at different times, so their nearest vectors differ slightly; results
            sorted by a field are the same in all.

        Raises:
            NoLiveIndex, SearchUnavailable
        """
        return _answer(self._search(index, body, deadline, copy))

    def search_ids(
        self, index: str, body: dict[str, Any], deadline: RequestDeadline, *, copy: str | None = None
    ) -> tuple[str, ...]:
        """Run one search for ids alone, and return them in order.

        Raises:
            NoLiveIndex, SearchUnavailable
        """
        hits = self._search(index, body, deadline, copy)["hits"]["hits"]
        return tuple(hit["_id"] for hit in hits)

    def find_all(
        self, index: str, item_ids: Sequence[str], deadline: RequestDeadline
    ) -> dict[str, ListingDocument | None]:
        """Find the stored documents of some items, with their vectors, in one round trip.

        Returns:
            Item to its document, or to None if there is none.

        Raises:
            NoLiveIndex, SearchUnavailable
        """
        with _translated(), deadline.waiting():
            # The client's `mget` has no argument for the vectors, which Elasticsearch leaves out.
            parameters = {"_source_exclude_vectors": "false"}
            answer = self._post(index, "_mget", parameters, {"ids": list(item_ids)}, deadline)
        found = {each["_id"]: each["_source"] for each in answer["docs"] if each.get("found")}
        return {name: _known(found[name]) if name in found else None for name in item_ids}

    def search_sources(
        self, index: str, body: dict[str, Any], deadline: RequestDeadline
    ) -> tuple[dict[str, Any], ...]:
        """Run one search for parts of documents, and return them in order.

        Raises:
            NoLiveIndex, SearchUnavailable
        """
        return tuple(hit["_source"] for hit in self._search(index, body, deadline, None)["hits"]["hits"])

    def search_all(
        self, index: str, bodies: Sequence[dict[str, Any]], deadline: RequestDeadline, *, copy: str
    ) -> tuple[Answer, ...]:
        """Run several searches in one round trip.

        Raises:
            NoLiveIndex, SearchUnavailable
        """
        with _translated(), deadline.waiting():
            timeout = _millis(deadline.left_s())
            lines: list[dict[str, Any]] = []
            for body in bodies:
                header = {"allow_partial_search_results": False, "preference": _preference(copy)}
                lines += [header, body | {"timeout": timeout}]
            responses = self._within(deadline).msearch(index=index, searches=lines)["responses"]
        return tuple(_answer(_whole(response)) for response in responses)

    def _search(
        self, index: str, body: dict[str, Any], deadline: RequestDeadline, copy: str | None
    ) -> dict[str, Any]:
        parameters = {"allow_partial_search_results": "false"}
        if copy is not None:
            parameters["preference"] = _preference(copy)
        with _translated(), deadline.waiting():
            timed = body | {"timeout": _millis(deadline.left_s())}
            return self._post(index, "_search", parameters, timed, deadline)

    def _post(
        self,
        index: str,
        action: str,
        parameters: Mapping[str, str],
        body: dict[str, Any],
        deadline: RequestDeadline,
    ) -> dict[str, Any]:
        """Send a body to an index.

        The client's own methods take their time to sort arguments, and `json` to write vectors: together a
        tenth of a search.
        """
        answer = self._within(deadline).perform_request(
            "POST",
            f"/{quote(index, safe='')}/{action}",
            params=parameters,
            headers=_JSON_HEADERS,
            body=orjson.dumps(body),
        )
        return cast("dict[str, Any]", answer.body)

    def _within(self, deadline: RequestDeadline) -> Elasticsearch:
        """A client whose calls end with the deadline, or up to a tenth of a second later.

        To make one takes 0.3 ms, a tenth of a search, so they are kept.
        """
        return self._with_timeout(math.ceil(10 * deadline.left_s()))

    def _tenths(self, tenths: int) -> Elasticsearch:
        return self._es.options(request_timeout=tenths / 10)


@contextmanager
def _translated() -> Iterator[None]:
    """Raise the client's errors as those of `query`. A rejected body is a bug, and passes unchanged."""
    try:
        yield
    except (IndexMissing, MappingMismatch) as error:
        raise NoLiveIndex(str(error)) from error
    except NotFoundError as error:
        message = (
            f"{_reason(error)}; `nitamono mappings create --live` makes one, "
            "or `nitamono mappings swap INDEX` where `nitamono mappings list` shows one with listings"
        )
        raise NoLiveIndex(message) from error
    except ConnectionTimeout as error:
        raise SearchUnavailable(f"Elasticsearch did not answer in time; {RAISE_TIMEOUT}") from error
    except TransportError as error:
        message = f"Elasticsearch does not answer: {error.message}; {how_to_start(ELASTICSEARCH)}"
        raise SearchUnavailable(message) from error
    except ApiError as error:
        if error.error == "index_closed_exception":
            message = "the index is closed; open it, or `nitamono mappings swap OTHER`"
            raise NoLiveIndex(message) from error
        if not _is_unavailable(error.status_code):
            raise
        found = f"Elasticsearch answers {error.status_code}: {error.error}"
        raise SearchUnavailable(f"{found}; {_next_step(error.status_code)}") from error


def _reason(error: ApiError) -> str:
    """Elasticsearch's reason for an error: `no such index [listings-read]`."""
    body = error.body.get("error") if isinstance(error.body, dict) else None
    return str(body["reason"]) if isinstance(body, dict) and "reason" in body else str(error)


def _is_unavailable(status: int) -> bool:
    """Whether a status is about the cluster's state or our credentials, and not about the request."""
    return status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _REFUSED


def _next_step(status: int) -> str:
    """The next step for a status of an unavailable cluster."""
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return "check ELASTICSEARCH_API_KEY, or ELASTICSEARCH_USERNAME and ELASTICSEARCH_PASSWORD"
    if status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.GATEWAY_TIMEOUT}:
        return RAISE_TIMEOUT
    return "the log of Elasticsearch has the cause"


def _whole(response: dict[str, Any]) -> dict[str, Any]:
    """The response to one search of several, if it is one.

    Raises:
        SearchUnavailable: that search failed.
    """
    if "error" in response:
        kind = response["error"].get("type", "unknown")
        status = response.get("status", HTTPStatus.INTERNAL_SERVER_ERROR)
        found = f"Elasticsearch answers {status} to a wider search: {kind}"
        raise SearchUnavailable(f"{found}; {_next_step(status)}")
    return response


def _answer(response: dict[str, Any]) -> Answer:
    found = response["hits"]["hits"]
    hits = tuple(
        Hit(
            _document(hit["_source"]),
            vector,
            _further_vectors(hit),
            tuple(sorted(hit.get("matched_queries", ()))),
        )
        for hit, vector in zip(found, _vectors(found), strict=True)
    )
    total = response["hits"].get("total")
    return Answer(hits, total["value"] if total else None, response.get("aggregations", {}))


def _vectors(hits: Sequence[Mapping[str, Any]]) -> list[NDArray[np.float32] | None]:
    """The vector (dims,) of each hit, which Elasticsearch gives as base64 of big-endian 32-bit floats."""
    encoded = [hit.get("fields", {}).get("vector", (None,))[0] for hit in hits]
    stored = [b64decode(each) for each in encoded if each is not None]
    if not stored:
        return [None] * len(encoded)
    rows = iter(np.frombuffer(b"".join(stored), ">f4").astype(np.float32).reshape(len(stored), -1))
    return [None if each is None else next(rows) for each in encoded]


def _further_vectors(hit: Mapping[str, Any]) -> NDArray[np.float32] | None:
    """(n, dims) of the other photos of a hit, which Elasticsearch gives as JSON; None if it has none."""
    photos = hit.get("fields", {}).get(FURTHER_PHOTOS)
    return np.array([each["vector"] for each in photos], np.float32) if photos else None


def _known(source: dict[str, Any]) -> ListingDocument | None:
    """Return the document, unless it is of an item that is not known yet, or was forgotten."""
    forgotten = source["status"] == Status.REMOVED and source.items() >= UNKNOWN.items()
    return None if source.get("version") == 0 or forgotten else _document(source)


def _document(source: dict[str, Any]) -> ListingDocument:
    return ListingDocument.from_source(source)


def _millis(seconds: float) -> str:
    return f"{max(1, int(seconds * 1000))}ms"


def _preference(copy: str) -> str:
    """The value by which Elasticsearch chooses a shard's copy. It reserves values that start with `_`."""
    return f"of {copy}"
