"""Structured log lines: `chunk events=64 indexed=63 took_ms=412`."""

from __future__ import annotations

import json


def line(event: str, **fields: object) -> str:
    """Return the event and its fields on one line. Text with spaces or quotes is written as JSON."""
    return " ".join([event, *(f"{name}={_value(value)}" for name, value in fields.items())])


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.1f}"
    text = str(value)
    plain = text and text.isprintable() and not any(character in text for character in ' "=')
    return text if plain else json.dumps(text, ensure_ascii=False)
