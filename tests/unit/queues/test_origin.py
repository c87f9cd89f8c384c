"""The origin of a message in its headers."""

from __future__ import annotations

import json
import math
from datetime import timedelta
from typing import Any

import pytest

from queues.messages import Arguments, TaskMessage, parse_message
from queues.origin import Origin, stamp
from telemetry.ids import Ids, ids_of

TRACE = "0af7651916cd43dd8448eb211c80319c"


class Index(Arguments):
    """Arguments of a task."""

    events: list[Any]


def parsed(raw: bytes) -> TaskMessage:
    return parse_message(raw, {"index": Index}, longest_wait=timedelta(minutes=1))


def test_a_message_keeps_its_origin_on_its_way() -> None:
    """So that the last attempt is logged under the request that caused the first."""
    sent = TaskMessage("index", [[]], {}, "t1", origin=Origin(TRACE, 1_700_000_000.5))
    assert parsed(sent.to_bytes("q")).origin == sent.origin
    assert parsed(parsed(sent.to_bytes("q")).to_bytes("q")).origin == sent.origin


@pytest.mark.parametrize("trace", [None, 7, "00-zz", ["00"], {}])
@pytest.mark.parametrize("time", [None, "now", -1, math.inf, True, [1]])
def test_an_invalid_origin_makes_no_message_invalid(trace: object, time: object) -> None:
    """Producers in other languages write headers of their own."""
    envelope = json.loads(TaskMessage("index", [[]], {}, "t1").to_bytes("q"))
    envelope["headers"] |= {"traceparent": trace, "enqueued_at": time}
    assert parsed(json.dumps(envelope).encode()).origin == Origin()


def test_what_is_sent_in_a_request_has_its_trace_and_the_time() -> None:
    """The signal of Celery does it for every producer. A header that is set stays."""
    headers: dict[str, Any] = {"id": "t1"}
    with ids_of(Ids(trace_id=TRACE)):
        stamp(headers)
    origin = Origin.of(headers["traceparent"], headers["enqueued_at"])
    assert origin.trace_id == TRACE
    assert (origin.age_s() or 0.0) < 60
    kept = {"traceparent": "mine", "enqueued_at": 5.0}
    stamp(kept)
    assert kept == {"traceparent": "mine", "enqueued_at": 5.0}


def test_ages_are_never_negative() -> None:
    """The clock of the producer may be ahead."""
    assert Origin(None, 100.0).age_s(now=90.0) == 0
    assert Origin(None, 100.0).age_s(now=103.5) == 3.5
    assert Origin().age_s() is None
