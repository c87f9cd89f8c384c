"""Valid messages, and the problems of all others."""

from __future__ import annotations

import base64
import json
import pickle
import random
import traceback
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kombu.serialization import loads

from indexer.summary import IndexingSummary
from indexer.worker.arguments import TASKS
from queues import messages
from queues import transport as intake
from queues.messages import PLAIN_JSON, MessageRefused, TaskMessage, is_deeper, parse_message, task_id_in
from tests.factories import make_event
from tests.messages import NO_MESSAGES, call, make_envelope, mutated

INDEX, REMOVE = "indexer.index_listings", "indexer.remove_listings"
NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
AT = "2026-01-01T00:00:00Z"
KOMBU_MARKED = [{"__type__": kind, "__value__": "2026-01-01"} for kind in ("datetime", "bytes", "x", 5)]
"""What kombu's own JSON makes a Python object of, or fails on."""
SUMMARY = IndexingSummary(1, 1, 1, {"title_missing": 1}, {"photo_not_found": 2}).to_json()


def parsed(envelope: dict[str, Any] | bytes, **options: Any) -> TaskMessage:
    """Parse the envelope as a worker does, at NOW."""
    raw = envelope if isinstance(envelope, bytes) else json.dumps(envelope).encode()
    return parse_message(raw, TASKS, longest_wait=timedelta(minutes=2), now=NOW, **options)


def refusal(envelope: dict[str, Any] | bytes) -> MessageRefused:
    """Return why the envelope is refused."""
    with pytest.raises(MessageRefused) as caught:
        parsed(envelope)
    return caught.value


def with_header(**headers: Any) -> dict[str, Any]:
    """A valid message with other headers."""
    envelope = make_envelope(INDEX, call([]))
    envelope["headers"] |= headers
    return envelope


@pytest.mark.parametrize(
    "body",
    [
        call([make_event()]),
        call([make_event()], SUMMARY),
        call([make_event()], summary=None),
        call(events=[make_event(), "no event", None]),
        [[[]], {}, None],
        *(call([make_event(attributes=odd)]) for odd in KOMBU_MARKED),
        call(KOMBU_MARKED),
    ],
)
def test_a_valid_message_keeps_its_call(body: Any) -> None:
    """Whatever its entries are: each is validated by itself later."""
    message = parsed(make_envelope(INDEX, body))
    assert [message.args, message.kwargs] == body[:2]


def test_celery_gets_only_the_canonical_form() -> None:
    """A new tag, a route to its queue, and nothing that the sender added."""
    eta = NOW + timedelta(seconds=30)
    sent = with_header(eta=eta.isoformat(), retries=3, timelimit=[1, 1], shadow="x", group="g")
    sent["properties"] |= {"delivery_tag": None, "delivery_info": {"exchange": "other"}, "priority": "x"}
    message = parsed(sent)
    canonical = json.loads(message.to_bytes("q"))

    assert parsed(message.to_bytes("q")) == message
    assert (message.retries, message.eta) == (3, eta)
    assert canonical["properties"]["delivery_info"] == {"exchange": "", "routing_key": "q"}
    assert (canonical["headers"]["timelimit"], canonical["headers"]["group"]) == ([None, None], None)
    assert canonical["properties"]["delivery_tag"]


@pytest.mark.parametrize("raw", NO_MESSAGES)
def test_invalid_messages_are_refused(raw: bytes) -> None:
    """Words, numbers, bytes, another protocol, JSON nested without end."""
    assert refusal(raw).reason == "message_malformed"


@pytest.mark.parametrize("name", ["body", "content-type", "content-encoding", "headers", "properties"])
@pytest.mark.parametrize("value", [None, 5, "x", [], {}])
def test_an_envelope_with_wrong_or_missing_fields_is_refused(name: str, value: Any) -> None:
    """The detail names them."""
    envelope = make_envelope(INDEX, call([]))
    assert refusal(envelope | {name: value}).reason == "message_malformed"
    del envelope[name]
    assert name in refusal(envelope).detail


@pytest.mark.parametrize(
    "changes",
    [
        {"content-type": "application/x-python-serialize"},
        {"content-type": "application/x-yaml"},
        {"content-type": "application/x-msgpack"},
        {"content-encoding": "utf-16"},
        {"content-encoding": "binary"},
        {"body": "no base64!"},
    ],
)
def test_a_body_in_another_encoding_is_refused(changes: dict[str, str]) -> None:
    """Pickle, YAML, msgpack; other charsets; no base64."""
    assert refusal(make_envelope(INDEX, call([])) | changes).reason == "message_malformed"


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"", "nothing"),
        (b"[[u1@example.org]]", "invalid JSON at line 1, column 3"),
        ("é".encode("latin-1"), "text that is not UTF-8 from byte 1 on"),
    ],
)
def test_a_body_that_is_no_json_is_refused(body: bytes, found: str) -> None:
    """The detail says what it is, and quotes nothing of it."""
    refused = refusal(make_envelope(INDEX, call([])) | {"body": base64.b64encode(body).decode()})
    assert refused.reason == "message_malformed"
    assert f"body: found {found}, expected JSON in UTF-8" in str(refused)


@pytest.mark.parametrize(
    "body",
    [
        make_event(),
        [[make_event()]],
        [[[make_event()]], {}],
        [],
        None,
        "text",
        [{}, {}, {}],
        [[], [], {}],
        [[], {}, []],
        [[], {}, {}, {}],
        [[], {}, {"callbacks": [{"task": "x"}]}],
        [[], {}, {"chord": {"task": "x"}}],
    ],
)
def test_a_body_of_another_shape_is_refused(body: Any) -> None:
    """A bare listing, too few or many parts, callbacks."""
    assert refusal(make_envelope(INDEX, body)).reason == "message_malformed"


def test_deep_nesting_is_refused() -> None:
    """Deeper arguments could not be passed to a process."""
    value: Any = "x"
    for _ in range(150):
        value = [value]
    parsed(make_envelope(INDEX, call([value])))
    for _ in range(60):
        value = [value]
    assert "nesting" in refusal(make_envelope(INDEX, call([value]))).detail


def test_a_too_large_message_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Above 64 MiB it is not even parsed."""
    monkeypatch.setattr(messages, "MOST_BYTES", 100)
    assert refusal(b" " * 101).reason == "message_too_large"


@pytest.mark.parametrize(
    ("reason", "headers"),
    [
        ("message_expired", {"expires": "2026-11-02T11:59:59Z"}),
        ("message_malformed", {"expires": "soon"}),
        ("eta_too_late", {"eta": "2026-11-02T12:02:01Z"}),
        ("eta_too_late", {"eta": "9999-12-31T23:59:59Z"}),
        ("message_malformed", {"eta": 1e300}),
        ("message_malformed", {"eta": []}),
        ("message_malformed", {"retries": -1}),
        ("message_malformed", {"retries": True}),
        ("message_malformed", {"retries": 10**30}),
        ("message_malformed", {"id": None}),
        ("message_malformed", {"id": "x" * 256}),
        ("message_malformed", {"id": "a b"}),
        ("message_malformed", {"task": ["x"]}),
        ("task_unknown", {"task": "\ud800"}),
        ("task_unknown", {"task": "indexer.index_listing"}),
        ("task_unknown", {"task": "celery.backend_cleanup"}),
    ],
)
def test_unusable_headers_are_refused(reason: str, headers: dict[str, Any]) -> None:
    """Too late, out of range, or of an unknown task."""
    assert refusal(with_header(**headers)).reason == reason


def test_the_form_of_an_id_is_said_in_words() -> None:
    """Not as a regular expression."""
    expected = "headers.id: Input should be 1 to 255 characters of ASCII without spaces, found text"
    assert refusal(with_header(id="a b")).detail.startswith(expected)


def test_a_replayed_message_neither_expires_nor_waits() -> None:
    """An operator wants it processed now."""
    sent = json.dumps(with_header(expires=AT, eta="9999-12-31T23:59:59Z")).encode()
    assert parsed(sent, replayed=True).eta is None


@pytest.mark.parametrize(
    ("task", "args", "kwargs", "named"),
    [
        (REMOVE, ["fp2", AT], {}, "item_ids"),
        (REMOVE, [{"m1": 1}, AT], {}, "item_ids"),
        (REMOVE, [5, AT], {}, "item_ids"),
        (REMOVE, [None, AT], {}, "item_ids"),
        (REMOVE, [["m1"]], {}, "at"),
        (REMOVE, [["m1"], 5], {}, "at"),
        (REMOVE, [["m1"], "yesterday"], {}, "at"),
        (REMOVE, [["m1"], "2026-01-01T00:00:00"], {}, "at"),
        (REMOVE, [["m1"], "9999-01-01T00:00:00Z"], {}, "at"),
        (REMOVE, [["m1"], "0001-01-01T00:00:00Z"], {}, "at"),
        (REMOVE, [["m1"], AT, "more"], {}, "3 in order"),
        (REMOVE, [["m1"], AT], {"at": AT}, "at by name"),
        (REMOVE, [["m1"], AT], {"force": True}, "force"),
        (REMOVE, [["m"] * 10_001, AT], {}, "item_ids"),
        (INDEX, [], {}, "events"),
        (INDEX, [make_event()], {}, "events"),
        (INDEX, ["fp2"], {}, "events"),
        (INDEX, [[]], {"acount": None}, "acount"),
        (INDEX, [[], 5], {}, "summary"),
        (INDEX, [[], {}], {}, "summary.total"),
        (INDEX, [[], SUMMARY | {"total": 7}], {}, "summary.total"),
        (INDEX, [[], SUMMARY | {"indexed": -1, "total": 1}], {}, "summary.indexed"),
        (INDEX, [[], SUMMARY | {"indexed": True}], {}, "summary.indexed"),
        (INDEX, [[], SUMMARY | {"rejected": {"x": "1"}}], {}, "summary.rejected"),
        (INDEX, [[], SUMMARY | {"without_vector": {"x": -1}}], {}, "summary.without_vector"),
        (INDEX, [[], SUMMARY | {"without_vector": {"x" * 201: 1}}], {}, "summary.without_vector"),
        (INDEX, [[], SUMMARY | {"more": 1}], {}, "summary.more"),
    ],
)
def test_arguments_are_validated(task: str, args: list[Any], kwargs: dict[str, Any], named: str) -> None:
    """Types, sizes, moments, names; the detail says what is wrong."""
    refused = refusal(make_envelope(task, [args, kwargs, {}]))
    assert refused.reason == "arguments_invalid"
    assert named in refused.detail


def test_a_refusal_can_be_pickled() -> None:
    """Celery pickles a task's error."""
    refused = pickle.loads(pickle.dumps(MessageRefused("a", "b")))  # noqa: S301 - our own
    assert (refused.reason, refused.detail, str(refused)) == ("a", "b", "a: b")


@given(st.binary(max_size=500) | st.integers().map(lambda seed: next(mutated_once(seed))))
def test_bytes_are_a_message_or_refused(raw: bytes) -> None:
    """Nothing else is ever raised, and an accepted message can be sent and parsed again."""
    try:
        message = parsed(raw)
    except MessageRefused:
        return
    assert parsed(message.to_bytes("q")) == message


@pytest.mark.parametrize("entry", KOMBU_MARKED)
def test_celery_decodes_the_canonical_form_to_what_was_sent(entry: dict[str, Any]) -> None:
    """kombu's own JSON would interpret some objects."""
    canonical = json.loads(TaskMessage(INDEX, [[entry]], {}).to_bytes("q"))
    assert intake.Transport  # the module that makes the content type known to kombu
    body, kind = base64.b64decode(canonical["body"]), canonical["content-type"]

    assert loads(body, kind, "utf-8", accept={PLAIN_JSON}) == [[[entry]], {}, {}]


EMAIL = "alice@example.com"


@pytest.mark.parametrize(
    "raw",
    [
        EMAIL.encode(),
        json.dumps(EMAIL).encode(),
        json.dumps([{"user_id": EMAIL}]).encode(),
        *(
            json.dumps(envelope).encode()
            for envelope in (
                with_header(id=EMAIL * 20),
                with_header(task=EMAIL),
                with_header(eta=EMAIL),
                make_envelope(INDEX, call([])) | {"body": EMAIL},
                make_envelope(INDEX, {"user_id": EMAIL}),
                make_envelope(INDEX, [[], {}, {"callbacks": [EMAIL]}]),
                make_envelope(INDEX, [[], {}, {EMAIL: 1}]),
                make_envelope(INDEX, call({"user_id": EMAIL})),
                make_envelope(INDEX, call(EMAIL)),
                make_envelope(INDEX, call(**{EMAIL: 1})),
                make_envelope(INDEX, call([], [], **{EMAIL: 1})),
                make_envelope(INDEX, call([], {EMAIL: 1})),
                make_envelope(INDEX, call([], SUMMARY | {"rejected": {EMAIL: -1}})),
                make_envelope(REMOVE, call([], EMAIL)),
            )
        ),
    ],
)
def test_a_refusal_repeats_no_sent_value(raw: bytes) -> None:
    """Neither its detail, which is logged and stored, nor the traceback that Celery logs."""
    refused = refusal(raw)

    assert "alice" not in "".join(traceback.format_exception(refused))


def test_the_task_id_of_a_refused_message_is_read_if_possible() -> None:
    """Whatever else is wrong with it."""
    envelope = with_header(task="unknown", retries="x", id="t1")
    assert task_id_in(json.dumps(envelope).encode()) == "t1"
    assert task_id_in(json.dumps(envelope | {"body": 5, "properties": None}).encode()) == "t1"
    assert task_id_in(json.dumps(with_header(id="a b")).encode()) is None
    assert [task_id_in(raw) for raw in NO_MESSAGES] == [None] * len(NO_MESSAGES)


def mutated_once(seed: int) -> Any:
    """A message of this seed."""
    return mutated(random.Random(seed), INDEX, lambda number: make_event(item_id=f"m{number}"), 1)


@pytest.mark.parametrize(
    ("value", "levels"),
    [(7, 0), ([], 1), ({}, 1), ([1, "a"], 1), ([[1], {"a": 2}], 2), ({"a": [{"b": []}], "c": 1}, 4)],
)
def test_levels_of_nesting_are_counted(value: object, levels: int) -> None:
    """Those of lists and objects alike, in the deepest branch."""
    assert not is_deeper(value, levels)
    assert levels == 0 or is_deeper(value, levels - 1)


def test_a_deep_value_is_measured_without_recursion() -> None:
    """Of a hundred thousand levels."""
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    assert is_deeper(value, 1_000)
