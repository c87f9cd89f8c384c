"""CORS, compression, HEAD and OPTIONS, as browsers, proxies and CDNs meet them."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import brotli
import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from mappings.client import ElasticsearchSettings, connect
from query.api.app import create_app
from query.api.middleware.authorization import REQUIRED
from query.api.middleware.settings import AccessSettings
from query.api.settings import QuerySettings
from tests.free_port import free_port
from tests.keys import make_key, make_key_ring

SHOP, OTHER = "https://shop.example", "http://localhost:3000"
CLOSED = make_key_ring(make_key()[1])


@contextmanager
def served(*origins: str, has_keys: bool = False) -> Iterator[Flask]:
    """An API whose Elasticsearch is a port that nothing listens at."""
    settings = QuerySettings(
        ElasticsearchSettings(urls=(f"http://127.0.0.1:{free_port()}",), timeout_s=2.0),
        access=replace(AccessSettings(), cors_origins=origins),
    )
    with connect(settings.elasticsearch) as es:
        yield create_app(settings, es, CLOSED if has_keys else make_key_ring())


@pytest.fixture
def api() -> Iterator[FlaskClient]:
    """A client of an open server."""
    with served() as app:
        yield app.test_client()


def path_of(endpoint: str) -> str:
    """The path of an endpoint of the table of roles."""
    path = endpoint.split()[1].replace("<listing_id:item_id>", "m1").replace("<number>", "0")
    return path.replace("<name>", "n").replace(
        "<path:filename>", "style.css" if "static" in path else "css/swagger-ui.css"
    )


@pytest.mark.parametrize("endpoint", sorted(REQUIRED))
def test_every_endpoint_answers_options_without_a_key(endpoint: str) -> None:
    """With the methods that it allows."""
    with served(has_keys=True) as app:
        answer = app.test_client().options(path_of(endpoint))
    assert answer.status_code == 200
    assert endpoint.split(maxsplit=1)[0] in answer.headers["Allow"]
    assert "OPTIONS" in answer.headers["Allow"]


@pytest.mark.parametrize("endpoint", sorted(each for each in REQUIRED if each.startswith("GET")))
def test_head_is_get_without_a_body(api: FlaskClient, endpoint: str) -> None:
    """The same status, type and validators; errors too."""
    got, headed = api.get(path_of(endpoint)), api.head(path_of(endpoint))
    assert (headed.status_code, headed.data) == (got.status_code, b"")
    for name in ("Content-Type", "ETag", "Cache-Control", "Retry-After"):
        assert headed.headers.get(name) == got.headers.get(name)


def preflight(api: FlaskClient, origin: str, path: str = "/v1/events") -> TestResponse:
    """What a browser asks before it sends JSON with a key."""
    return api.options(
        path,
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type",
        },
    )


def test_pages_of_allowed_origins_may_call_the_api() -> None:
    """The preflight has no key, and errors can be read as well."""
    with served(SHOP, OTHER, has_keys=True) as app:
        api = app.test_client()
        for origin in (SHOP, OTHER):
            asked = preflight(api, origin)
            assert asked.status_code == 200
            assert asked.headers["Access-Control-Allow-Origin"] == origin
            assert "authorization" in asked.headers["Access-Control-Allow-Headers"].lower()
            assert "POST" in asked.headers["Access-Control-Allow-Methods"]
        refused = api.get("/v1/listings", headers={"Origin": SHOP})
        assert refused.status_code == 401
        assert refused.headers["Access-Control-Allow-Origin"] == SHOP
        assert "X-Request-Id" in refused.headers["Access-Control-Expose-Headers"]
        assert "Access-Control-Allow-Credentials" not in refused.headers


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", f"{SHOP}.evil.example", "http://shop.example"]
)
def test_pages_of_other_origins_may_not(origin: str) -> None:
    """By the lack of a header, which browsers need."""
    with served(SHOP, OTHER) as app:
        api = app.test_client()
        for answer in (preflight(api, origin), api.get("/v1/listings", headers={"Origin": origin})):
            assert "Access-Control-Allow-Origin" not in answer.headers


def test_only_the_api_is_shared_with_other_origins() -> None:
    """Not the reports."""
    with served("*") as app:
        api = app.test_client()
        assert preflight(api, SHOP).headers["Access-Control-Allow-Origin"] == "*"
        assert "Access-Control-Allow-Origin" not in api.get("/reports", headers={"Origin": SHOP}).headers
    with served() as app:
        assert "Access-Control-Allow-Origin" not in preflight(app.test_client(), SHOP).headers


def test_copies_are_told_apart_by_origin_and_encoding() -> None:
    """Also by the request without an origin, whose copy a CDN might give to a page."""
    with served(SHOP, OTHER) as app:
        assert set(app.test_client().get("/v1/listings").vary) == {"Origin", "Accept-Encoding"}
    with served("*") as app:
        assert set(app.test_client().get("/v1/listings").vary) == {"Accept-Encoding"}
        assert set(app.test_client().get("/nowhere").vary) == {"Accept", "Accept-Encoding"}


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [("gzip", "gzip"), ("br", "br"), ("gzip, deflate, br, zstd", "zstd"), ("gzip;q=0, br", "br"), ("", None)],
)
def test_json_is_compressed_as_the_client_accepts(
    api: FlaskClient, accepted: str, encoding: str | None
) -> None:
    """And has the same ETag in every encoding, so that a client with one copy is not sent another."""
    plain = api.get("/openapi.json")
    answer = api.get("/openapi.json", headers={"Accept-Encoding": accepted})
    assert answer.headers.get("Content-Encoding") == encoding
    decode = {"gzip": gzip.decompress, "br": brotli.decompress, None: bytes}
    if encoding in decode:
        assert decode[encoding](answer.data) == plain.data
    assert (len(answer.data) < len(plain.data) / 3) == (encoding is not None)
    assert answer.headers["ETag"] == plain.headers["ETag"]
    headers = {"Accept-Encoding": accepted, "If-None-Match": plain.headers["ETag"]}
    unchanged = api.get("/openapi.json", headers=headers)
    assert (unchanged.status_code, unchanged.data) == (304, b"")


def test_short_answers_and_pictures_are_sent_as_they_are(api: FlaskClient) -> None:
    """Compression would only cost time."""
    headers = {"Accept-Encoding": "gzip, br, zstd"}
    assert "Content-Encoding" not in api.get("/healthz", headers=headers).headers
    sheet = api.get("/static/style.css", headers=headers)
    assert sheet.headers["Content-Encoding"] == "zstd"
