"""Log lines as text or as JSON: `chunk events=64 indexed=63 took_ms=412.0`."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from telemetry.ids import current_ids
from telemetry.secrets import redacted

_LONGEST: Final = 8_192
"""Characters of a text in a JSON line. Collectors of logs split or drop lines of more than 16 KiB."""


@dataclass(frozen=True)
class Line:
    """An event and its fields, which is a message of a log call."""

    event: str
    fields: Mapping[str, object]

    def __str__(self) -> str:
        """Return the event and its fields on one line. Text with spaces or quotes is written as JSON."""
        return " ".join([self.event, *(f"{name}={_value(value)}" for name, value in self.fields.items())])


def line(event: str, **fields: object) -> Line:
    """Return an event with its fields."""
    return Line(event, fields)


class TextFormatter(logging.Formatter):
    """Formats records as text, without secrets."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, with what follows it."""
        ids = current_ids()
        record.request_id = ids.request_id or "-"
        record.task_id = ids.task_id or "-"
        return redacted(super().format(record))


class JsonFormatter(logging.Formatter):
    """Formats records as one JSON object a line, with the ids of the request or task and without secrets."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        head = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "process": record.process,
        }
        fields = {**head, **_message(record), **current_ids().to_fields()}
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return redacted(json.dumps({name: _jsonable(value) for name, value in fields.items()}))


def formatter(form: str, text_format: str, date_format: str | None = None) -> logging.Formatter:
    """Return the formatter for NITAMONO_LOG_FORMAT, `text` or `json`."""
    return JsonFormatter() if form == "json" else TextFormatter(text_format, date_format)


def _message(record: logging.LogRecord) -> Mapping[str, object]:
    if isinstance(record.msg, Line):
        return {"event": record.msg.event, **record.msg.fields}
    return {"message": record.getMessage()}


def _jsonable(value: object) -> Any:
    if isinstance(value, float):
        return round(value, 3)
    return value if isinstance(value, int | None) else str(value)[:_LONGEST]


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.1f}"
    text = str(value)
    plain = text and text.isprintable() and not any(character in text for character in ' "=')
    return text if plain else json.dumps(text, ensure_ascii=False)
