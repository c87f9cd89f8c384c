"""Values of a table's columns as JSON: lists and objects that are written as text, dates, decimals."""

from __future__ import annotations

import ast
import json
from collections.abc import Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, TypeGuard

from indexer.intake.row import MAX_ROW_LENGTH
from mappings.listing import isoformat

ATTRIBUTE_PREFIX = "attributes."


def listed(value: object) -> object:
    """Return the list in a text that pandas or JSON wrote; other values unchanged.

    A text that looks like a list but is not one, such as NumPy's `['a' 'b']`, is returned unchanged, and the
    listing's validation rejects it.
    """
    if isinstance(value, str) and value[:1] in ("[", "("):
        for read in (python_list, json_list):
            if (found := read(value)) is not None:
                return found
    return value


def python_list(text: str) -> list[str] | None:
    """Return the list whose `repr` the text is, or None."""
    try:
        found = ast.literal_eval(text) if len(text) <= MAX_ROW_LENGTH else None
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    # `['a' 'b']` is valid Python as well, and means ['ab'].
    return list(found) if is_text_list(found) and repr(found) == text else None


def json_list(text: str) -> list[str] | None:
    """Return the list of texts in JSON, or None."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return list(found) if is_text_list(found) else None


def is_text_list(value: object) -> TypeGuard[Sequence[str]]:
    """Return whether the value is a list or tuple of texts."""
    return isinstance(value, list | tuple) and all(isinstance(part, str) for part in value)


def json_object(value: object) -> object:
    """Return the JSON object in a text; other values unchanged."""
    try:
        found = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return value
    return found if isinstance(found, dict) else value


def json_value(value: Any) -> Any:  # noqa: PLR0911  one case for each type
    """Return the value as JSON. Bytes are UTF-8 text, which Hive, Impala and old Spark do not mark as such.

    Raises:
        UnicodeDecodeError: the bytes are not UTF-8.
    """
    match value:
        case None | str() | bool() | int() | float():
            return value
        case datetime() if value.tzinfo:
            return isoformat(value)
        case date() | time():
            return value.isoformat()
        case Decimal():
            # Databases have ids of the type NUMERIC.
            is_whole = value.is_finite() and value == value.to_integral_value()
            return int(value) if is_whole else float(value)
        case bytes():
            return value.decode()
        case dict():
            return {str(name): json_value(inner) for name, inner in value.items() if inner is not None}
        case list():
            return [json_value(inner) for inner in value]
        case _:
            return str(value)
