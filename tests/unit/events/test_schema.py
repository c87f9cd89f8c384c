"""Valid events are parsed with the user id hashed; of invalid ones every problem is reported."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Any

import pytest

from events.names import day_of, event_index
from events.schema import EVENT_TYPES, parse_event, parse_message
from events.user_ids import user_hash
from mappings.errors import InvalidEvent, InvalidIndexName
from tests.events import NOW, SALT, make_shopping_event, message, parsed


def reasons(data: object) -> dict[str, str]:
    """Return the reason codes by field."""
    with pytest.raises(InvalidEvent) as caught:
        parsed(data)
    return {problem.field: problem.reason for problem in caught.value.problems}


@pytest.mark.parametrize("kind", EVENT_TYPES)
def test_every_type_survives_the_queue(kind: str) -> None:
    """The message is JSON and parses to the same event."""
    event = parsed(make_shopping_event(kind))
    assert parse_message(json.loads(json.dumps(event.to_message()))) == event
    assert type(event) is EVENT_TYPES[kind]


@pytest.mark.parametrize("kind", EVENT_TYPES)
def test_the_user_id_is_hashed(kind: str) -> None:
    """Neither the event nor its message has the id that was sent."""
    event = parsed(make_shopping_event(kind, user_id="u1@example.org"))
    assert event.user_id == user_hash(SALT, "u1@example.org")
    assert "u1@example.org" not in repr(event)
    assert event.to_message()["user_id"] == event.user_id


@pytest.mark.parametrize("user_id", ["", "x" * 129, 7, None, "\ud800", ["u1@example.org"]])
def test_an_invalid_user_id_is_not_repeated(user_id: object) -> None:
    """Responses and logs show problems, so they must not contain it."""
    with pytest.raises(InvalidEvent) as caught:
        parsed(make_shopping_event(user_id=user_id))
    (problem,) = caught.value.problems
    assert (problem.field, problem.found) == ("user_id", "something else")
    assert caught.value.__cause__ is None


def test_a_missing_user_id_is_reported() -> None:
    """And nothing else."""
    event = make_shopping_event()
    del event["user_id"]
    with pytest.raises(InvalidEvent, match="user_id: found nothing, expected a value"):
        parsed(event)


def test_all_problems_are_reported_at_once() -> None:
    """A sender can correct an event in one step."""
    wrong = make_shopping_event(position=0, item_id="..", slateid="s", time="yesterday")
    del wrong["user_id"]
    assert reasons(wrong) == {
        "time": "time_malformed",
        "user_id": "user_id_missing",
        "item_id": "item_id_malformed",
        "position": "position_not_positive",
        "slateid": "slateid_unknown",
    }


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"arms": ["control"]}, "arms_malformed"),
        ({"arms": ["e:a"] * 17}, "arms_too_many"),
        ({"items": [{"item_id": "m2", "position": 1}] * 2}, "items_repeated"),
        ({"items": [{"item_id": f"m{n}", "position": n} for n in range(1, 102)]}, "items_too_many"),
        ({"items": [{"item_id": "m2", "position": 1, "score": 1}]}, "items_unknown"),
        ({"took_ms": float("nan")}, "took_ms_not_finite"),
        ({"took_ms": -1}, "took_ms_not_positive"),
        ({"randomised": "no"}, "randomised_wrong_type"),
        ({"encoder_id": ""}, "encoder_id_empty"),
    ],
)
def test_impressions_have_limits(changes: dict[str, Any], reason: str) -> None:
    """Each violation has a code of its own."""
    assert set(reasons(make_shopping_event("impression", **changes)).values()) == {reason}


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (
            make_shopping_event("tap", slateid="s"),
            "Unknown field `slateid`. Allowed: event_id, time, user_id, type, slate_id, query_item_id, "
            "item_id, position",
        ),
        (
            make_shopping_event("impression", items=[{"item_id": "m2", "position": 1, "score": 1}]),
            "Unknown field `items[0].score`. Allowed: item_id, position",
        ),
    ],
    ids=["of an event", "of an item"],
)
def test_an_unknown_field_is_named_with_those_allowed(event: dict[str, Any], message: str) -> None:
    """A misspelt field would make the figures wrong. The stored detail has the same sentence."""
    with pytest.raises(InvalidEvent) as caught:
        parsed(event)
    assert message in str(caught.value)
    assert message in "; ".join(problem.without_value() for problem in caught.value.problems)


@pytest.mark.parametrize("price", [-1, "1290", True, float("inf"), 1e13])
def test_invalid_prices_are_refused(price: object) -> None:
    """No text, boolean, negative or huge number."""
    assert set(reasons(make_shopping_event("purchase", price=price))) == {"price"}


@pytest.mark.parametrize("data", [None, [], "tap", {"type": "click"}, {"type": ["tap"]}, {}])
def test_other_json_is_no_event(data: object) -> None:
    """Of any type."""
    assert set(reasons(data).values()) <= {"event_wrong_type", "type_unknown"}


@pytest.mark.parametrize(
    ("age", "reason"),
    [
        (timedelta(days=7, seconds=1), "time_too_old"),
        (timedelta(minutes=-5, seconds=-1), "time_in_future"),
        (timedelta(days=7), None),
        (timedelta(minutes=-5), None),
    ],
)
def test_events_are_of_the_last_week(age: timedelta, reason: str | None) -> None:
    """From seven days ago to five minutes ahead, both included."""
    event = make_shopping_event(time=(NOW - age).isoformat())
    if reason is None:
        assert parsed(event).time == NOW - age
    else:
        assert reasons(event) == {"time": reason}


def test_all_problems_of_an_event_are_named() -> None:
    """Its time, too, where another field is wrong."""
    event = make_shopping_event(time=(NOW - timedelta(days=8)).isoformat(), item_id="")
    assert reasons(event) == {"time": "time_too_old", "item_id": "item_id_empty"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"slate_id": "a b"}, "expected 1 to 128 letters, digits and"),
        ({"arms": ["encoder"]}, "expected the names of an experiment and an arm, such as"),
    ],
)
def test_the_form_of_a_text_is_said_in_words(changes: dict[str, Any], words: str) -> None:
    """Not as a regular expression."""
    with pytest.raises(InvalidEvent, match=words):
        parsed(make_shopping_event("impression", **changes))


def test_a_message_may_be_old() -> None:
    """Its time was checked when it arrived."""
    waited = message() | {"time": "2020-01-01T00:00:00Z"}
    assert parse_message(waited).day == date(2020, 1, 1)


def test_a_message_with_a_raw_user_id_is_refused() -> None:
    """Senders that bypass the API have to hash it."""
    with pytest.raises(InvalidEvent) as caught:
        parse_message(message() | {"user_id": "u1"})
    assert caught.value.reason == "user_id_malformed"
    assert "'u1'" not in str(caught.value)


def test_items_are_sorted_by_position() -> None:
    """In whatever order they are sent."""
    items = [{"item_id": "m3", "position": 2}, {"item_id": "m2", "position": 1}]
    event = parsed(make_shopping_event("impression", items=items))
    assert [item["item_id"] for item in event.to_message()["items"]] == ["m2", "m3"]


def test_an_empty_answer_is_an_impression() -> None:
    """The guardrail for empty answers counts it."""
    assert parsed(make_shopping_event("impression", items=[])).to_message()["items"] == []


def test_days_are_in_utc() -> None:
    """An event of early morning in Tokyo belongs to the day before."""
    event = parse_event(make_shopping_event(time="2026-11-02T08:59:00+09:00"), salt=SALT, now=NOW)
    assert event.day == date(2026, 11, 1)
    assert event_index("listings", event.day) == "listings-events-2026.11.01"


def test_index_names_are_parsed() -> None:
    """Other names are refused."""
    assert day_of("shop-events-2026.11.01", "shop") == date(2026, 11, 1)
    for name in ("shop-events-rejected", "shop-events-2026.13.01", "my-shop-events-2026.11.01"):
        with pytest.raises(InvalidIndexName):
            day_of(name, "shop")
