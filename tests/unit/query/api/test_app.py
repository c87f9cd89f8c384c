"""What the API says where Elasticsearch is not there to be asked."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient
from openapi_spec_validator import validate

from mappings.client import ElasticsearchSettings, connect
from mappings.listing import listing_schema
from query.api.app import create_app
from query.api.failures import RETRY_AFTER_S
from query.api.settings import QuerySettings
from query.search.reader import IndexReader
from tests.keys import make_key_ring

PAGE = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
PICTURE = {"Accept": "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"}


@pytest.fixture
def app() -> Iterator[Flask]:
    """An API whose Elasticsearch is a port that nothing listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        settings = QuerySettings(ElasticsearchSettings(urls=(url,), timeout_s=2.0))
        with connect(settings.elasticsearch) as es:
            yield create_app(settings, es, make_key_ring())


@pytest.fixture
def api(app: Flask) -> FlaskClient:
    """A client of it."""
    return app.test_client()


@pytest.mark.parametrize(
    "path", ["/v1/listings", "/v1/listings/m1", "/v1/listings/m1/similar", "/readyz", "/photos/m1/0"]
)
def test_without_elasticsearch_it_is_503(api: FlaskClient, path: str) -> None:
    """With a time to come back, and as problem+json."""
    answer = api.get(path)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == str(RETRY_AFTER_S)
    assert answer.content_type == "application/problem+json"
    problem = answer.get_json(force=True)
    assert problem["type"] == "urn:nitamono:problem:search-unavailable"
    assert (problem["status"], problem["instance"]) == (503, path)
    assert "does not answer" in problem["detail"]


@pytest.mark.parametrize("path", ["/", "/items/m1"])
def test_a_person_gets_a_page_instead(api: FlaskClient, path: str) -> None:
    """Friendly, with the same status and Retry-After."""
    answer = api.get(path, headers=PAGE)
    assert (answer.status_code, answer.content_type) == (503, "text/html; charset=utf-8")
    assert answer.headers["Retry-After"] == str(RETRY_AFTER_S)
    assert "cannot be reached just now" in answer.text


def test_health_is_the_process_alone(api: FlaskClient) -> None:
    """An orchestrator must not restart it because Elasticsearch is away."""
    answer = api.get("/healthz")
    assert (answer.status_code, answer.json) == (200, {"status": "ok"})


def test_bad_parameters_are_named_before_anything_is_asked(api: FlaskClient) -> None:
    """All of them, each with found and expected; Elasticsearch is not needed to say so."""
    answer = api.get("/v1/listings/m1/similar?size=0&price_ratio=x&sise=5")
    assert (answer.status_code, answer.content_type) == (400, "application/problem+json")
    problems = {problem["field"]: problem for problem in answer.get_json(force=True)["problems"]}
    assert problems.keys() == {"size", "price_ratio", "sise"}
    assert problems["size"] == {
        "field": "size",
        "reason": "size_out_of_range",
        "found": "'0'",
        "expected": "a whole number from 1 to 100, in digits",
    }


def test_a_page_passes_over_parameters_it_does_not_know(api: FlaskClient) -> None:
    """Links from elsewhere carry their own; but a bad page number is said to be one."""
    assert api.get("/?utm_source=mail", headers=PAGE).status_code == 503
    answer = api.get("/?page=first", headers=PAGE)
    assert answer.status_code == 400
    assert "Parameter `page`: found" in answer.text


@pytest.mark.parametrize(
    ("path", "headers", "content_type"),
    [
        ("/nowhere", {}, "application/problem+json"),
        ("/nowhere", {"Accept": "*/*"}, "application/problem+json"),
        ("/nowhere", PAGE, "text/html; charset=utf-8"),
        ("/v1/nowhere", PAGE, "application/problem+json"),
        ("/v1/listings/%0A/similar", {}, "application/problem+json"),
        ("/items/%2e%2e", PAGE, "text/html; charset=utf-8"),
        ("/photos/m1/first", {}, "application/problem+json"),
        ("/photos/a%00b/0", PICTURE, "image/svg+xml"),
        ("/static/../app.py", {}, "application/problem+json"),
    ],
)
def test_what_is_not_there_is_404(
    api: FlaskClient, path: str, headers: dict[str, str], content_type: str
) -> None:
    """In the form that was asked for: JSON, a page, or a placeholder where a picture should be."""
    answer = api.get(path, headers=headers)
    assert (answer.status_code, answer.content_type) == (404, content_type)


@pytest.mark.parametrize("path", ["/v1/listings", "/v1/listings/m1/similar", "/healthz"])
def test_only_reading_is_allowed(api: FlaskClient, path: str) -> None:
    """405 as problem+json, with what is allowed."""
    answer = api.post(path)
    assert (answer.status_code, answer.content_type) == (405, "application/problem+json")
    assert "GET" in answer.headers["Allow"]
    assert answer.get_json(force=True)["status"] == 405


def test_a_fault_of_ours_is_500_and_tells_nothing(
    api: FlaskClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The log has the traceback, the answer has none of it."""

    def fail(*_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(IndexReader, "find", fail)
    answer = api.get("/v1/listings/m1/similar")
    assert (answer.status_code, answer.content_type) == (500, "application/problem+json")
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    assert "secret detail" in caplog.text


@pytest.mark.parametrize("path", ["/healthz", "/nowhere", "/static/style.css", "/docs", "/readyz"])
def test_every_answer_is_guarded(api: FlaskClient, path: str) -> None:
    """No sniffing, no scripts from elsewhere or inline, no frames."""
    headers = api.get(path, headers=PAGE).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    policy = headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "img-src 'self' http: https: data:" in policy
    assert "unsafe-inline" not in policy
    assert "frame-ancestors 'none'" in policy


def test_the_description_is_valid_openapi(api: FlaskClient) -> None:
    """3.1, and accepted by the specification's own validator."""
    description = api.get("/openapi.json").json
    assert description is not None
    assert description["openapi"].startswith("3.1.")
    validate(description)


def test_the_schema_of_a_listing_is_served(api: FlaskClient) -> None:
    """As JSON Schema, under its own id."""
    served = api.get("/schemas/listing.json")
    assert served.mimetype == "application/schema+json"
    assert json.loads(served.text) == listing_schema()
    assert listing_schema()["$id"] == "/schemas/listing.json"


def test_every_route_of_the_api_is_described(app: Flask, api: FlaskClient) -> None:
    """And every described one exists."""
    described = set(json.loads(api.get("/openapi.json").text)["paths"])
    routed = {
        rule.rule.replace("<listing_id:", "{").replace("<", "{").replace(">", "}")
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith(("/v1/", "/healthz", "/readyz"))
    }
    assert described == routed


def test_described_parameters_are_those_that_are_taken(api: FlaskClient) -> None:
    """Names, limits and defaults come from the models that validate."""
    description = json.loads(api.get("/openapi.json").text)
    parameters = description["paths"]["/v1/listings/{item_id}/similar"]["get"]["parameters"]
    by_name = {parameter["name"]: parameter for parameter in parameters}
    assert by_name.keys() == {
        "item_id",
        "size",
        "price_ratio",
        "category",
        "attribute",
        "exclude_seller",
        "collapse_duplicates",
        "seller_cap",
        "min_similarity",
        "diversity",
        "attribute_boost",
        "freshness",
        "popularity",
        "cursor",
        "explain",
        "explain_missing",
        "user_id",
        "arm",
        "X-User-Id",
    }
    assert by_name["X-User-Id"]["in"] == "header"
    assert by_name["item_id"]["in"] == "path"
    assert by_name["item_id"]["required"] is True
    assert by_name["size"]["schema"] == {"type": "integer", "minimum": 1, "maximum": 100, "default": 24}
    assert by_name["price_ratio"]["schema"]["exclusiveMinimum"] == 1
    assert by_name["category"]["schema"] == {"type": "string", "minLength": 1, "maxLength": 512}
    assert by_name["exclude_seller"]["schema"]["type"] == "array"


@pytest.mark.parametrize(
    ("path", "method", "security", "refusals"),
    [
        ("/v1/listings", "get", [{"apiKey": ["read"]}, {}], {"401", "403", "429"}),
        ("/v1/events", "post", [{"apiKey": ["ingest"]}], {"401", "403", "429"}),
        ("/readyz", "get", [{}], {"401", "429"}),
        ("/healthz", "get", [{}], set()),
    ],
)
def test_the_description_names_roles_and_refusals(
    api: FlaskClient, path: str, method: str, security: list[dict[str, list[str]]], refusals: set[str]
) -> None:
    """A client generated from it sends a key and expects to wait."""
    description = json.loads(api.get("/openapi.json").text)
    assert description["components"]["securitySchemes"]["apiKey"]["scheme"] == "bearer"
    operation = description["paths"][path][method]
    assert operation["security"] == security
    assert {"401", "403", "429"} & operation["responses"].keys() == refusals
    if "429" in refusals:
        assert "Retry-After" in operation["responses"]["429"]["headers"]


def test_the_description_names_what_is_refused_before_anything_is_read(api: FlaskClient) -> None:
    """A parameter that no operation has, and a body of another type."""
    paths = json.loads(api.get("/openapi.json").text)["paths"]
    for path, operations in paths.items():
        for method, operation in operations.items():
            url = path.format(item_id="m1", job_id="j1")
            for asked in (url, f"{url}?nonsense=1"):
                status = api.open(
                    asked, method=method.upper(), data="", content_type="text/plain"
                ).status_code
                assert str(status) in operation["responses"], (method, asked, status)


def test_the_description_names_what_a_client_may_keep(api: FlaskClient) -> None:
    """By the ETag that it got."""
    paths = json.loads(api.get("/openapi.json").text)["paths"]
    kept = {
        path for path, operations in paths.items() if "304" in operations.get("get", {}).get("responses", {})
    }
    assert kept == {"/v1/listings", "/v1/listings/{item_id}", "/v1/listings/{item_id}/similar"}


def test_the_rendered_description_loads_nothing_from_elsewhere(api: FlaskClient) -> None:
    """Swagger UI's files are served from here."""
    page = api.get("/docs").text
    assert "http://" not in page
    assert "https://" not in page
    for asset in ("css/swagger-ui.css", "js/swagger-ui-bundle.js"):
        assert f"/docs/swagger/{asset}" in page
        assert api.get(f"/docs/swagger/{asset}").status_code == 200


@pytest.mark.parametrize("number", ["５", "1_0", "+1", "-1", "1.0", "99999", "x"])
def test_a_photo_has_a_number_in_digits(api: FlaskClient, number: str) -> None:
    """Another address has no photo, and nothing is asked of Elasticsearch."""
    assert api.get(f"/photos/m1/{number}").status_code == 404
