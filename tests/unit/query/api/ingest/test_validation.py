"""What is refused before anything is queued, without Redis and Elasticsearch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from mappings.client import ElasticsearchSettings, connect
from query.api.app import create_app
from query.api.settings import QuerySettings
from tests.free_port import free_port
from tests.keys import make_key_ring


@pytest.fixture
def api() -> Iterator[FlaskClient]:
    """The API, whose Redis is a port that nothing listens at: what it would queue has status 503."""
    settings = QuerySettings(ElasticsearchSettings(), redis_url=f"redis://127.0.0.1:{free_port()}/0")
    with connect(settings.elasticsearch) as es:
        yield create_app(settings, es, make_key_ring()).test_client()


def reasons_of(answer: Any) -> list[str]:
    """The reason codes of a problem."""
    assert answer.content_type == "application/problem+json"
    return [problem["reason"] for problem in answer.get_json(force=True)["problems"]]


@pytest.mark.parametrize(
    ("method", "body", "reasons"),
    [
        (
            "put",
            {"title": "T"},
            {"category_missing", "seller_id_missing", "status_missing", "created_at_missing"},
        ),
        ("put", {"item_id": "other"}, {"item_id_mismatch", "title_missing"}),
        ("put", ["a list"], {"event_wrong_type"}),
        ("put", {"op": "remove"}, {"op_mismatch"}),
        ("put", {"a": [[[[[[[[[1]]]]]]]]]}, {"listing_too_deep"}),
        ("patch", {"prise": 1}, {"prise_unknown"}),
        ("patch", {"price": "cheap"}, {"price_wrong_type"}),
        ("patch", {"updated_at": "tomorrow"}, {"updated_at_malformed"}),
    ],
)
def test_all_that_is_wrong_is_said_at_once(
    api: FlaskClient, method: str, body: Any, reasons: set[str]
) -> None:
    """As problem+json with every problem, before Redis is asked for anything."""
    answer = api.open("/v1/listings/m1", method=method.upper(), json=body)
    assert answer.status_code == 400
    assert reasons <= set(reasons_of(answer))


def test_a_problem_has_a_remedy_for_a_client(api: FlaskClient) -> None:
    """Not for files, which have options of a command."""
    answer = api.put("/v1/listings/m1", json={"price": "1,290"})
    remedies = {each["reason"]: each["remedy"] for each in answer.get_json(force=True)["problems"]}
    assert remedies["price_wrong_type"] == "Send a number, or text of digits such as 1290 or 12.5."
    assert remedies["title_missing"] == "Add it."
    parameter = api.delete("/v1/listings/m1?wait=maybe").get_json(force=True)["problems"][0]
    assert "remedy" not in parameter


def test_a_body_has_limits(api: FlaskClient) -> None:
    """Of bytes, media type, encoding and form."""
    url, json_type = "/v1/listings/m1", "application/json"
    assert api.put(url, data=b'{"title": "' + b"x" * 300_000, content_type=json_type).status_code == 413
    assert api.put(url, data=b"{}", content_type="text/plain").status_code == 415
    squeezed = {"Content-Encoding": "gzip"}
    assert api.put(url, data=b"{}", content_type=json_type, headers=squeezed).status_code == 415


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"", "nothing"),
        (b'{\n"a": }', "invalid JSON at line 2, column 6"),
        (b"[" * 100_000, "JSON that is nested too deep"),
        (b'{"price": NaN}', "NaN, which JSON does not have"),
        (b"\xff", "text that is not UTF-8 from byte 1 on"),
        (b"1" * 5_000, "a number of more than 4,300 digits"),
    ],
)
@pytest.mark.parametrize(("method", "path"), [("PUT", "/v1/listings/m1"), ("POST", "/v1/listings:batch")])
def test_a_body_that_is_no_json_is_named_in_our_own_words(
    api: FlaskClient, method: str, path: str, body: bytes, found: str
) -> None:
    """What it is, and what is expected: not what the parser says."""
    answer = api.open(path, method=method, data=body, content_type="application/json")
    assert answer.status_code == 400
    assert reasons_of(answer) == ["invalid_json"]
    assert answer.get_json(force=True)["detail"].startswith(f"body: found {found}, expected ")


def test_a_line_that_is_no_json_is_named_in_our_own_words(api: FlaskClient) -> None:
    """By its column, for the item says which line it is."""
    answer = api.post("/v1/listings:batch", data='{"a" 1}\n\n', content_type="application/x-ndjson")
    found = "invalid JSON at column 6"
    assert answer.get_json(force=True)["detail"].startswith(f"listing: found {found}, expected ")


def test_a_batch_has_limits(api: FlaskClient) -> None:
    """Of items, of bytes, and of the bytes of a line; one without a valid item is refused whole."""
    url, lines = "/v1/listings:batch", "application/x-ndjson"
    assert api.post(url, data="{}\n" * 1001, content_type=lines).status_code == 413
    assert api.post(url, json={"listings": [{}] * 1001}).status_code == 413
    assert api.post(url, data="x" * 400_000, content_type=lines).status_code == 413
    assert api.post(url, data=" " * (9 * 2**20), content_type="application/json").status_code == 413
    assert api.post(url, data="{}", content_type="text/plain").status_code == 415
    for empty in ({}, {"listings": []}, [], {"listings": {}}):
        assert reasons_of(api.post(url, json=empty)) == ["listings_missing"]
    assert reasons_of(api.post(url, data="\n\n", content_type=lines)) == ["listings_missing"]
    refused = api.post(url, json={"listings": [7, {"op": "sell", "item_id": "m1"}]})
    assert (refused.status_code, reasons_of(refused)) == (400, ["event_wrong_type", "op_unknown"])


def test_unknown_parameters_and_unusable_keys_are_refused(api: FlaskClient) -> None:
    """A misspelt parameter is noticed."""
    assert reasons_of(api.delete("/v1/listings/m1?wiat=true")) == ["wiat_unknown"]
    assert reasons_of(api.delete("/v1/listings/m1?wait=maybe")) == ["wait_malformed"]
    for key in ("", "k" * 256, "k\té"):
        answer = api.delete("/v1/listings/m1", headers={"Idempotency-Key": key.encode().decode("latin-1")})
        assert reasons_of(answer) == ["idempotency_key_malformed"]
    assert api.delete("/v1/listings/m1").status_code == 503
    assert json.dumps(reasons_of(api.delete("/v1/listings/m%01"))) == '["item_id_malformed"]'
