"""Messages of RabbitMQ in the form of the queue in Redis."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from kombu import Message

from indexer.worker.arguments import TASKS
from queues.messages import MessageRefused, parse_message
from queues.rabbitmq import envelope_of, valid_amqp_url

HEADERS = {"task": "indexer.index_listings", "id": "x"}


def message(body: Any, **fields: Any) -> Message:
    """A message as kombu reads it."""
    known = {"headers": HEADERS, "content_type": "application/json", "content_encoding": "utf-8"}
    return Message(body=body, **known | fields)


def test_a_message_has_the_form_of_the_queue() -> None:
    """Whether its body is text or bytes."""
    for body in ('[[[{"item_id": "é"}]], {}, {}]', '[[[{"item_id": "é"}]], {}, {}]'.encode()):
        raw = envelope_of(message(body)).encode()
        call = parse_message(raw, TASKS, longest_wait=timedelta(minutes=1))
        assert (call.id, call.args) == ("x", [[{"item_id": "é"}]])


@pytest.mark.parametrize(
    "fields",
    [
        {"headers": None},
        {"headers": {"task": b"\xff", "id": object()}},
        {"content_type": None},
        {"content_encoding": "binary"},
        {"body": b"\xff"},
    ],
)
def test_any_message_can_be_moved_and_is_refused_there(fields: dict[str, Any]) -> None:
    """So that it is kept with its reason, and does not stop the forwarder."""
    raw = envelope_of(message(**{"body": b"[[[]], {}, {}]"} | fields)).encode()
    assert json.loads(raw)["properties"] == {"body_encoding": "base64"}
    with pytest.raises(MessageRefused):
        parse_message(raw, TASKS, longest_wait=timedelta(minutes=1))


@pytest.mark.parametrize("url", ["redis://localhost", "amqp://", "amqp://host:0", "localhost"])
def test_other_urls_are_no_rabbitmq(url: str) -> None:
    """With or without TLS, it needs a host."""
    with pytest.raises(ValueError, match="not a URL of a RabbitMQ"):
        valid_amqp_url(url)
    assert valid_amqp_url("amqps://user:password@rabbitmq:5671/shop")
