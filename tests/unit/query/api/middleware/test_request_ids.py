"""Ids of requests in responses and logs."""

from __future__ import annotations

import json
import logging

import pytest
from flask import Flask

from query.api.middleware.logs import LINE
from query.api.middleware.request_ids import HEADER, add_request_id, forget_request, number_request
from telemetry.logs import JsonFormatter, TextFormatter
from tests.keys import make_key


@pytest.fixture
def app() -> Flask:
    """An app that logs a warning in each request."""
    made = Flask(__name__)
    made.before_request(number_request)
    made.after_request(add_request_id)
    made.teardown_request(forget_request)

    @made.get("/")
    def home() -> str:
        logging.getLogger("shop").warning("asked")
        return "here"

    return made


@pytest.mark.parametrize("sent", ["0f8fad5b-d9cd-469f-a165-70867728950e", "req_1.2-3", "A" * 64])
def test_a_sane_id_is_kept(app: Flask, sent: str) -> None:
    """UUIDs and the like, so that the log of a proxy or a shop matches."""
    assert app.test_client().get("/", headers={HEADER: sent}).headers[HEADER] == sent


@pytest.mark.parametrize(
    "sent",
    ["", "short", "A" * 65, "two words", "id\tid-id-id", "<script>alert(1)</script>", "日本語" * 4, "-" * 9],
)
def test_any_other_is_replaced(app: Flask, sent: str) -> None:
    """By 128 random bits, different each time."""
    api = app.test_client()
    headers = {HEADER: sent.encode().decode("latin-1")}
    made = {api.get("/", headers=headers).headers[HEADER] for _ in range(2)}
    assert len(made) == 2
    assert all(len(each) == 32 for each in made)
    assert sent not in made


def test_a_key_is_no_id(app: Flask) -> None:
    """It would be in every log."""
    text, _ = make_key()
    assert text[:30] not in app.test_client().get("/", headers={HEADER: text[:60]}).headers[HEADER]


def test_the_log_has_the_id_within_a_request_and_a_dash_outside(
    app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    """In every line, of libraries too."""
    caplog.handler.setFormatter(TextFormatter(LINE))
    app.test_client().get("/", headers={HEADER: "request-15"})
    logging.getLogger("shop").warning("alone")
    assert "[WARNING] [request-15] shop: asked" in caplog.text
    assert "[WARNING] [-] shop: alone" in caplog.text


def test_keys_are_cut_out_of_messages_and_tracebacks(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever logs them."""
    caplog.handler.setFormatter(TextFormatter(LINE))
    text, _ = make_key()
    try:
        raise ValueError(f"bad header {text}")
    except ValueError:
        logging.getLogger("shop").exception("failed with %s", text)
    assert text[22:40] not in caplog.text
    assert caplog.text.count("nitamono_[redacted]") == 2


def test_json_has_the_trace_that_a_client_sends_or_a_new_one(
    app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    """By the header `traceparent`."""
    caplog.handler.setFormatter(JsonFormatter())
    trace = "0af7651916cd43dd8448eb211c80319c"
    headers = {HEADER: "request-15", "traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    app.test_client().get("/", headers=headers)
    app.test_client().get("/", headers={HEADER: "request-16", "traceparent": "none"})
    first, second = map(json.loads, caplog.text.splitlines())
    assert (first["request_id"], first["trace_id"], first["message"]) == ("request-15", trace, "asked")
    assert (second["request_id"], len(second["trace_id"])) == ("request-16", 32)
