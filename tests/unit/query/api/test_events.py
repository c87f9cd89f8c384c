"""What the API says to events, without Redis."""

from __future__ import annotations

import json
import logging
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator

from events.schema import EVENT_TYPES, Event
from mappings.client import ElasticsearchSettings, connect
from query.api.app import create_app
from query.api.errors import QueueUnavailable
from query.api.events import MAX_BYTES, MAX_EVENTS, REDIS_TIMEOUT_S, EventQueue
from query.api.failures import RETRY_AFTER_S
from query.api.openapi import openapi_document
from query.api.settings import QuerySettings
from tests.events import SALT, make_shopping_event
from tests.free_port import free_port
from tests.keys import make_key_ring


@pytest.fixture
def queued(monkeypatch: pytest.MonkeyPatch) -> list[Event]:
    """What was put into the queue, which is a list."""
    events: list[Event] = []
    monkeypatch.setattr(EventQueue, "put", lambda _, batch: events.extend(batch))
    return events


def make_api(salt: str | None = SALT) -> Iterator[FlaskClient]:
    """The API, whose Redis is a port that nothing listens at."""
    settings = QuerySettings(
        ElasticsearchSettings(), redis_url=f"redis://127.0.0.1:{free_port()}/0", user_salt=salt
    )
    with connect(settings.elasticsearch) as es:
        yield create_app(settings, es, make_key_ring()).test_client()


@pytest.fixture
def api() -> Iterator[FlaskClient]:
    """The API, with a salt."""
    yield from make_api()


def fresh(kind: str = "tap", **changes: Any) -> dict[str, Any]:
    """An event of now."""
    return make_shopping_event(kind, **({"time": datetime.now(UTC).isoformat()} | changes))


def test_the_valid_are_queued_and_the_others_named(api: FlaskClient, queued: list[Event]) -> None:
    """By their place in the batch and their id, with all that is wrong with each."""
    batch = [fresh(), fresh(event_id="e2", position="first"), 7, fresh("item_view")]
    answer = api.post("/v1/events", json={"events": batch})
    assert answer.status_code == 202
    assert answer.json is not None
    assert answer.json["accepted"] == 2
    assert [event.event_id for event in queued] == [batch[0]["event_id"], batch[3]["event_id"]]
    second, third = answer.json["rejected"]
    assert (second["index"], second["event_id"], third["index"], third["event_id"]) == (1, "e2", 2, None)
    assert second["problems"] == [
        {
            "field": "position",
            "reason": "position_wrong_type",
            "found": "'first'",
            "expected": "a valid integer",
        }
    ]


def test_an_event_without_a_time_is_of_its_arrival(api: FlaskClient, queued: list[Event]) -> None:
    """So a visitor whose clock is wrong is counted. A time that is sent is the sender's own."""
    before = datetime.now(UTC)
    timeless = {name: value for name, value in fresh().items() if name != "time"}
    wrong = [fresh(time=None), fresh(time=(before + timedelta(days=1)).isoformat())]
    answer = api.post("/v1/events", json={"events": [timeless, *wrong]})
    assert answer.json is not None
    assert answer.json["accepted"] == 1
    assert [each["problems"][0]["reason"] for each in answer.json["rejected"]] == [
        "time_wrong_type",
        "time_in_future",
    ]
    (event,) = queued
    assert before <= event.time <= datetime.now(UTC)


def test_what_is_refused_is_counted_in_the_log(
    api: FlaskClient, queued: list[Event], caplog: pytest.LogCaptureFixture
) -> None:
    """A line a request, by reason code, with nothing that the sender wrote."""
    misspelt = {"mail-of-u1@example.org\nERROR": 1}
    batch = [fresh(), fresh(item_id=""), fresh(item_id="", position="first"), fresh() | misspelt, 7]
    with caplog.at_level(logging.WARNING, "query.api.events"):
        api.post("/v1/events", json={"events": [fresh()]})
        api.post("/v1/events", json={"events": batch})
        api.post("/v1/events", json={"events": [fresh(item_id="")]})
        api.post("/v1/events", json={})
        api.post("/v1/events", json={"events": [fresh()] * (MAX_EVENTS + 1)})
    assert [record.getMessage() for record in caplog.records] == [
        "events refused: 1 event_wrong_type, 1 field_unknown, 2 item_id_empty, 1 position_wrong_type",
        "events refused: 1 item_id_empty",
        "events refused: 1 events_missing",
        "events refused: 1 events_too_many",
    ]


def test_the_queue_never_has_a_raw_user_id(api: FlaskClient, queued: list[Event]) -> None:
    """Only its hash."""
    api.post("/v1/events", json={"events": [fresh(user_id="u1@example.org")]})
    assert "u1@example.org" not in json.dumps([event.to_message() for event in queued])


def test_a_batch_without_a_valid_event_is_a_bad_request(api: FlaskClient, queued: list[Event]) -> None:
    """As problem+json, each problem with the place of its event."""
    answer = api.post("/v1/events", json={"events": [fresh(item_id=""), {"type": "click"}]})
    assert (answer.status_code, answer.content_type) == (400, "application/problem+json")
    problem = answer.get_json(force=True)
    assert problem["type"] == "urn:nitamono:problem:no-valid-event"
    assert {each["field"] for each in problem["problems"]} == {"events[0].item_id", "events[1].type"}
    assert queued == []


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        *((each, "events: found no such list") for each in ("[]", "{}", '{"events": []}', '{"events": {}}')),
        ("null", "events: found no such list"),
        ("", "body: found nothing"),
        ("{", "body: found invalid JSON at line 1, column 2"),
        ("[" * 100_000, "body: found JSON that is nested too deep"),
        (b"\xff", "body: found text that is not UTF-8 from byte 1 on"),
    ],
)
def test_another_body_is_a_bad_request(api: FlaskClient, body: str | bytes, problem: str) -> None:
    """Half JSON, another shape, nothing in it; what is expected is said, too."""
    answer = api.post("/v1/events", data=body, content_type="application/json")
    assert (answer.status_code, answer.content_type) == (400, "application/problem+json")
    assert answer.get_json(force=True)["detail"] == problem + ', expected {"events": [{…}, …]}'


@pytest.mark.parametrize(
    "event",
    [
        {"event_id": "\ud800"},
        {"\ud800": 1},
        {"x" * 100_000: 1},
        {"position": 10**400},
        {"item_id": ["[" * 50_000]},
        {"type": {"type": "tap"}},
        {"user_id": {"$ne": None}},
    ],
)
def test_nasty_events_are_bad_requests(api: FlaskClient, event: dict[str, Any]) -> None:
    """Whatever JSON can hold: named in a few bytes, and no fault of the server's."""
    answer = api.post("/v1/events", json={"events": [fresh() | event]})
    assert answer.status_code == 400
    assert len(answer.data) < 2_000


@pytest.mark.parametrize("depth", [500, 900, 950, 990])
def test_deep_events_are_bad_requests(api: FlaskClient, depth: int) -> None:
    """Wherever it is that the depth becomes too much."""
    body = '{"events": [{"type": "tap", "event_id": ' + "[" * depth + "]" * depth + "}]}"
    answer = api.post("/v1/events", data=body, content_type="application/json")
    assert answer.status_code == 400


def test_other_types_are_refused(api: FlaskClient) -> None:
    """So no form on another site can send events in a shopper's name."""
    answer = api.post("/v1/events", data=json.dumps({"events": [fresh()]}), content_type="text/plain")
    assert (answer.status_code, answer.content_type) == (415, "application/problem+json")
    detail = answer.get_json(force=True)["detail"]
    assert detail == "Content-Type: found text/plain, expected application/json"


def test_too_many_or_too_long_is_413(api: FlaskClient, queued: list[Event]) -> None:
    """The limits themselves are taken."""
    many = [fresh() for _ in range(MAX_EVENTS)]
    assert api.post("/v1/events", json={"events": many}).status_code == 202
    assert api.post("/v1/events", json={"events": [*many, fresh()]}).status_code == 413
    text = json.dumps({"events": [fresh()]})
    for padding, status in ((0, 202), (1, 413)):
        body = text + " " * (MAX_BYTES - len(text) + padding)
        answer = api.post("/v1/events", data=body, content_type="application/json")
        assert answer.status_code == status
    assert answer.content_type == "application/problem+json"


def test_without_redis_it_is_503_soon(api: FlaskClient) -> None:
    """With a time to come back. The sender keeps the events."""
    begun = time.monotonic()
    answer = api.post("/v1/events", json={"events": [fresh()]})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, str(RETRY_AFTER_S))
    assert answer.get_json(force=True)["type"] == "urn:nitamono:problem:queue-unavailable"
    assert time.monotonic() - begun < 3 * REDIS_TIMEOUT_S


def test_a_redis_that_says_nothing_is_waited_for_in_bounds() -> None:
    """A host that takes connections and hangs."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        queue = EventQueue.of(QuerySettings(redis_url=f"redis://127.0.0.1:{silent.getsockname()[1]}/0"))
        begun = time.monotonic()
        with pytest.raises(QueueUnavailable):
            queue.put([])
        assert time.monotonic() - begun < 3 * REDIS_TIMEOUT_S


def test_without_a_salt_events_are_off() -> None:
    """It says why, and no time to come back, for it will not mend itself."""
    (api,) = make_api(salt=None)
    answer = api.post("/v1/events", json={"events": [fresh()]})
    assert answer.status_code == 503
    assert "Retry-After" not in answer.headers
    assert "NITAMONO_USER_SALT" in answer.get_json(force=True)["detail"]


@pytest.mark.parametrize("kind", EVENT_TYPES)
def test_the_description_fits_what_is_taken(kind: str) -> None:
    """A client made from /openapi.json sends events that are valid, and finds a missing user id itself."""
    description = openapi_document()
    schema = {"$ref": "#/components/schemas/EventBatch", "components": description["components"]}
    validator = Draft202012Validator(schema)
    event = make_shopping_event(kind)
    validator.validate({"events": [event]})
    del event["time"]
    validator.validate({"events": [event]})
    del event["user_id"]
    assert not validator.is_valid({"events": [event]})
    assert description["paths"]["/v1/events"]["post"]["responses"].keys() >= {
        "202",
        "400",
        "413",
        "415",
        "503",
    }
