"""How failures of Elasticsearch leave the reader, and how long a request may wait for it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from elasticsearch import BadRequestError, Elasticsearch

from mappings.client import ElasticsearchSettings, connect
from query.api.parameters import ListingParameters
from query.search.browse import ListingService
from query.search.errors import NoLiveIndex, SearchUnavailable, UnknownItem
from query.search.reader import IndexReader, RequestDeadline
from tests.factories import make_identity

Respond = Callable[[BaseHTTPRequestHandler], tuple[int, object]]


@contextmanager
def cluster(respond: Respond) -> Iterator[Elasticsearch]:
    """A client of a server that speaks Elasticsearch's HTTP and answers each request as told."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = respond(self)
            payload = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("X-Elastic-Product", "Elasticsearch")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        with connect(ElasticsearchSettings(urls=(url,))) as es:
            yield es
    finally:
        server.shutdown()
        server.server_close()


def reader(es: Elasticsearch, timeout_s: float = 5.0) -> IndexReader:
    return IndexReader(es, "shop", timeout_s)


@pytest.mark.parametrize(
    ("status", "next_step"),
    [
        (401, "check ELASTICSEARCH_API_KEY"),
        (403, "check ELASTICSEARCH_API_KEY"),
        (429, "raise ELASTICSEARCH_TIMEOUT_S"),
        (500, "the log of Elasticsearch has the cause"),
        (502, "the log of Elasticsearch has the cause"),
        (503, "the log of Elasticsearch has the cause"),
        (504, "raise ELASTICSEARCH_TIMEOUT_S"),
    ],
)
def test_a_cluster_that_refuses_is_unavailable(status: int, next_step: str) -> None:
    """Overload, failure and refused credentials are not the caller's fault: nothing has to be started."""
    with cluster(lambda _: (status, {"error": {"type": "told_so", "reason": "told so"}})) as es:
        asked = reader(es)
        with pytest.raises(SearchUnavailable, match=rf"{status}.*; {next_step}"):
            asked.search("shop-read", {"size": 1}, asked.deadline(), copy="m1")


def test_a_refused_body_is_a_bug_and_stays_one() -> None:
    """A 400 must not be told to the caller as if the cluster were away."""
    with cluster(lambda _: (400, {"error": {"type": "parsing_exception"}})) as es:
        asked = reader(es)
        with pytest.raises(BadRequestError):
            asked.search("shop-read", {"size": 1}, asked.deadline(), copy="m1")


def test_an_elasticsearch_that_does_not_run_is_to_be_started() -> None:
    """The connection is refused."""
    with connect(ElasticsearchSettings(urls=("http://127.0.0.1:9",), max_retries=0)) as es:
        asked = reader(es)
        with pytest.raises(SearchUnavailable, match=r"does not answer.*; start it with `make up`"):
            asked.find("m1", asked.deadline())


def test_a_missing_index_says_what_makes_one() -> None:
    """The message names it."""
    body = {"error": {"type": "index_not_found_exception", "reason": "no such index [shop-read]"}}
    with cluster(lambda _: (404, body)) as es:
        asked = reader(es)
        with pytest.raises(NoLiveIndex, match=r"no such index \[shop-read\]; `nitamono mappings create"):
            asked.find("m1", asked.deadline())


def test_a_missing_document_is_an_unknown_item() -> None:
    """A 404 for the document is not a 404 for the index."""
    meta = {"schema_version": 2, **asdict(make_identity())}
    index = {"shop-1": {"aliases": {}, "mappings": {"_meta": meta}, "settings": {}}}

    def respond(request: BaseHTTPRequestHandler) -> tuple[int, object]:
        is_document = "/_doc/" in request.path
        return (404, {"_index": "shop-1", "_id": "m1", "found": False}) if is_document else (200, index)

    with cluster(respond) as es:
        asked = reader(es)
        with pytest.raises(UnknownItem, match="m1"):
            asked.find("m1", asked.deadline())


def test_one_failed_search_of_several_fails_the_request() -> None:
    """Half an answer is not passed off as a whole one."""
    failed = {"error": {"type": "search_phase_execution_exception"}, "status": 503}
    with cluster(lambda _: (200, {"took": 1, "responses": [{"hits": {"hits": []}}, failed]})) as es:
        asked = reader(es)
        with pytest.raises(SearchUnavailable, match="search_phase_execution_exception"):
            asked.search_all("shop-read", [{"size": 1}, {"size": 1}], asked.deadline(), copy="m1")


def test_a_cluster_that_never_answers_is_left_in_time() -> None:
    """One try, as long as the request has time; not one for each of the client's retries."""
    released = threading.Event()
    tries: list[str] = []

    def hang(handler: BaseHTTPRequestHandler) -> tuple[int, object]:
        tries.append(handler.path)
        released.wait(10)
        return 200, {}

    with cluster(hang) as es:
        asked = reader(es, timeout_s=0.3)
        with pytest.raises(SearchUnavailable, match="did not answer in time; raise ELASTICSEARCH_TIMEOUT_S"):
            asked.find("m1", asked.deadline())
        assert len(tries) == 1
        assert not released.is_set()
        released.set()


def test_the_search_is_told_how_long_it_may_take() -> None:
    """Elasticsearch stops too, and fails rather than answer in part."""
    seen: list[str] = []

    def note(request: BaseHTTPRequestHandler) -> tuple[int, object]:
        seen.append(request.path)
        return 200, {"hits": {"hits": []}}

    with cluster(note) as es:
        asked = reader(es)
        asked.search("shop-read", {"size": 1}, asked.deadline(), copy="m1")
    assert "allow_partial_search_results=false" in seen[0]


def test_pages_of_listings_are_spread_over_the_copies_of_the_index() -> None:
    """Any copy has the same page; the index itself is asked for what is checked of it alone."""
    seen: list[str] = []
    meta = {"schema_version": 2, **asdict(make_identity())}

    def note(request: BaseHTTPRequestHandler) -> tuple[int, object]:
        seen.append(request.path)
        if "_search" in request.path:
            return 200, {"hits": {"hits": [], "total": {"value": 0}}}
        return 200, {"shop-1": {"aliases": {"shop-read": {}}, "mappings": {"_meta": meta}}}

    with cluster(note) as es:
        ListingService(reader(es)).page(ListingParameters())
        asked = reader(es)
        asked.search("shop-1", {"size": 1}, asked.deadline(), copy="m1")
    resolved, page, whether_empty, similar = seen
    assert "filter_path=" in resolved
    assert "preference" not in page + whether_empty
    assert "preference=of+m1" in similar.replace("%20", "+")


def test_a_deadline_is_for_all_calls_together() -> None:
    """What one call took, the next one lacks; at the end there is none."""
    now = [100.0]
    deadline = RequestDeadline(2.0, clock=lambda: now[0])
    with deadline.waiting():
        now[0] += 1.5
    assert deadline.left_s() == pytest.approx(0.5)
    now[0] += 0.25
    assert deadline.waited_s == pytest.approx(1.5)
    assert deadline.elapsed_s() == pytest.approx(1.75)
    now[0] += 0.25
    with pytest.raises(SearchUnavailable, match="longer than 2 s; raise ELASTICSEARCH_TIMEOUT_S"):
        deadline.left_s()
