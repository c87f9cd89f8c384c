"""Erasure of a user's events from the refused messages."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from typing import cast

import pytest

from events.worker.erasure import erase_refused
from queues.refused_messages import RefusedMessage, RefusedMessages

HASH = "0123456789abcdef" * 2


class Refused:
    """A store of refused messages in memory."""

    def __init__(self, *raw: bytes) -> None:
        self.messages = {
            str(number): RefusedMessage(str(number), each, "message_malformed", "", "2026-01-01T00:00:00Z")
            for number, each in enumerate(raw)
        }

    def search(self) -> Iterator[RefusedMessage]:
        yield from self.messages.values()

    def release(self, ids: Sequence[str]) -> int:
        return sum(self.messages.pop(each, None) is not None for each in ids)


def erase(refused: Refused, raw_id: str) -> int:
    return erase_refused(cast(RefusedMessages, refused), HASH, raw_id)


def celery_message(**event: str) -> bytes:
    """A message whose body is in base64."""
    body = json.dumps([[[event]], {}, {}]).encode()
    return json.dumps({"body": base64.b64encode(body).decode()}).encode()


@pytest.mark.parametrize(
    "raw",
    [
        celery_message(user_id=HASH),
        celery_message(user_id="u1"),
        celery_message(user="u1"),
        b'no JSON "user_id" : "u1"',
        HASH.encode(),
    ],
)
def test_a_message_that_names_the_user_is_deleted(raw: bytes) -> None:
    """By hash or raw id, in the message or its body."""
    refused = Refused(celery_message(user_id="u2"), raw)
    assert erase(refused, "u1") == 1
    assert list(refused.messages) == ["0"]


@pytest.mark.parametrize("raw", [celery_message(user_id="ü.1"), '{"user_id": "ü.1"}'.encode()])
def test_an_id_is_found_in_both_forms_of_json(raw: bytes) -> None:
    """With its letters escaped or not."""
    assert erase(Refused(raw), "ü.1") == 1


@pytest.mark.parametrize("raw", [celery_message(user_id="u12"), celery_message(item_id="u1"), b"\xff\x00"])
def test_messages_of_others_stay(raw: bytes) -> None:
    """Of ids that begin alike, of other fields, and of no text."""
    refused = Refused(raw)
    assert erase(refused, "u1") == 0
    assert list(refused.messages) == ["0"]


def test_an_id_is_no_pattern() -> None:
    """Its punctuation stands for itself."""
    assert erase(Refused(celery_message(user_id="u1")), ".*") == 0
