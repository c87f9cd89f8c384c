"""Log lines as text and as JSON."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from telemetry.ids import Ids, ids_of
from telemetry.logs import JsonFormatter, TextFormatter, formatter, line


def logged(caplog: pytest.LogCaptureFixture, form: logging.Formatter, message: object, *args: Any) -> str:
    """Return the line of a warning."""
    caplog.clear()
    caplog.handler.setFormatter(form)
    logging.getLogger("shop").warning(message, *args)
    return caplog.text.rstrip("\n")


def test_a_line_is_one_line() -> None:
    """Whatever a title holds: text with spaces, quotes or line breaks is written as JSON."""
    text = str(line("chunk", events=64, took_ms=1.26, detail='found "x"\nexpected y', item=None, empty=""))

    assert text == 'chunk events=64 took_ms=1.3 detail="found \\"x\\"\\nexpected y" item=None empty=""'


def test_json_has_the_fields_and_the_ids(caplog: pytest.LogCaptureFixture) -> None:
    """Each as it is: numbers stay numbers, and a line break does not end the line."""
    with ids_of(Ids(task_id="t1", trace_id="ab" * 16)):
        text = logged(caplog, JsonFormatter(), line("rejected", item_id="m1", events=2, ms=1.23456, d="a\nb"))
    found = json.loads(text)
    assert found.pop("time").endswith("+00:00")
    assert found.pop("process") > 0
    assert found == {
        "level": "WARNING",
        "logger": "shop",
        "event": "rejected",
        "item_id": "m1",
        "events": 2,
        "ms": 1.235,
        "d": "a\nb",
        "task_id": "t1",
        "trace_id": "ab" * 16,
    }
    assert "\n" not in text


def test_json_of_any_other_message_and_of_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    """Libraries log plain text."""
    assert json.loads(logged(caplog, JsonFormatter(), "%s of %d", "one", 2))["message"] == "one of 2"
    caplog.clear()
    try:
        raise ValueError("redis://:secret@redis:6379")
    except ValueError:
        logging.getLogger("shop").exception("failed")
    found = json.loads(caplog.text)
    assert found["exception"].endswith("ValueError: redis://[redacted]@redis:6379")


def test_the_setting_chooses_the_form() -> None:
    """Text by default."""
    assert isinstance(formatter("json", "%(message)s"), JsonFormatter)
    assert isinstance(formatter("text", "%(message)s"), TextFormatter)


def test_ids_end_with_their_block(caplog: pytest.LogCaptureFixture) -> None:
    """A thread that is used again has none of the task before."""
    form = TextFormatter("task=%(task_id)s %(message)s")
    with ids_of(Ids(task_id="t1")):
        assert logged(caplog, form, "in") == "task=t1 in"
    assert logged(caplog, form, "out") == "task=- out"
