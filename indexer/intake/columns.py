"""The columns of a table, which hold text, to the fields of an event."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from indexer.intake.row import ATTRIBUTE_PREFIX, LONGEST_ROW
from mappings.listing import CATEGORY_SEPARATOR

IMAGE_SEPARATOR = "|"

_LIST = re.compile(r"""\[\s*['"].*\]""", re.DOTALL)
_PLAIN = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?|[+-]?(nan|inf)", re.ASCII | re.IGNORECASE)
_GROUPED = re.compile(r"[1-9]\d{0,2}(,\d{3})+(\.\d+)?", re.ASCII)
# 1.290 is one thousand two hundred and ninety in half of Europe.
_AMBIGUOUS = re.compile(r"[1-9]\d{0,2}\.\d{3}", re.ASCII)
THREE_DECIMALS = frozenset({"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"})
"""Currencies with a thousandth (ISO 4217), whose prices do have three decimals."""


def event_of(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The event in the fields of a table's row, each named as in `row.field_of`; None is absent.

    Text is verbatim, but that spaces around it do not count outside of attributes.
    """
    event = {
        name: value.strip() if isinstance(value, str) else value
        for name, value in fields.items()
        if value is not None and not name.startswith(ATTRIBUTE_PREFIX)
    }
    nested = {
        name.removeprefix(ATTRIBUTE_PREFIX): value
        for name, value in fields.items()
        if value is not None and name.startswith(ATTRIBUTE_PREFIX)
    }
    attributes = json_object(event.get("attributes", {}))
    event["attributes"] = attributes | nested if isinstance(attributes, dict) else attributes
    event["images"] = parts(event.get("images", []), IMAGE_SEPARATOR)
    if "category" in event:
        event["category"] = parts(event["category"], CATEGORY_SEPARATOR.strip())
    if isinstance(event.get("price"), str):
        event["price"] = number(event["price"], event.get("currency"))
    return event


def parts(value: object, separator: str) -> object:
    """The list that text stands for: between separators, or as pandas and JSON write one.

    What looks like a list but is none, such as NumPy's `['a' 'b']`, stays text, which the listing's
    validation refuses. Values that are no text stay as they are.
    """
    if not isinstance(value, str):
        return value
    for read in (written_list, json_list):
        if value[:1] in ("[", "(") and (found := read(value)) is not None:
            return found
    return value if _LIST.fullmatch(value) else [part.strip() for part in value.split(separator)]


def written_list(text: str) -> list[str] | None:
    """The list whose Python form this is, character by character."""
    try:
        found = ast.literal_eval(text) if len(text) <= LONGEST_ROW else None
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    # `['a' 'b']` is Python too, for ['ab'].
    return list(found) if is_texts(found) and repr(found) == text else None


def json_list(text: str) -> list[str] | None:
    """The list of texts in JSON."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return list(found) if is_texts(found) else None


def is_texts(value: object) -> TypeGuard[Sequence[str]]:
    """Whether the value is a list or tuple of texts alone."""
    return isinstance(value, list | tuple) and all(isinstance(part, str) for part in value)


def json_object(value: object) -> object:
    """The object that text holds as JSON; other values as they are."""
    try:
        found = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return value
    return found if isinstance(found, dict) else value


def number(text: str, currency: object = None) -> float | str:
    """The number that the text certainly is, or the text itself, which the listing's validation refuses.

    `1290`, `12.5` and `1,290` are certain; `1,29` and `1.290` are not, the latter but in a currency with
    three decimals.
    """
    if _GROUPED.fullmatch(text):
        return float(text.replace(",", ""))
    if _AMBIGUOUS.fullmatch(text) and currency not in THREE_DECIMALS:
        return text
    return float(text) if _PLAIN.fullmatch(text) else text
