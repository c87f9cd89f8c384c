"""Conversion of a table's columns, which have text, to the fields of an event."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from indexer.intake.row import MAX_ROW_LENGTH
from mappings.listing import Listing
from mappings.values import CATEGORY_SEPARATOR, IMAGE_SEPARATOR, canonical

OPTIONAL = frozenset({"images", "attributes", "popularity"})
"""Fields that a table may lack: without the column, a listing has no photo, attribute or popularity."""
REQUIRED = tuple(name for name in Listing.model_fields if name not in OPTIONAL)
ATTRIBUTE_PREFIX = "attributes."

_LIST = re.compile(r"""\[\s*['"].*\]""", re.DOTALL)


def event_of(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the event in the fields of a table's row, named as by field_of. None means absent.

    Text is kept as it is, except that spaces around it are removed outside of attributes.
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
    return canonical(event)


def parts(value: object, separator: str) -> object:
    """Return the list in a text, whose items are separated or written as a list by pandas or JSON.

    A text that looks like a list but is not one, such as NumPy's `['a' 'b']`, is returned unchanged, and the
    listing's validation rejects it. Other values than text are returned unchanged.
    """
    if not isinstance(value, str):
        return value
    for read in (python_list, json_list):
        if value[:1] in ("[", "(") and (found := read(value)) is not None:
            return found
    return value if _LIST.fullmatch(value) else [part.strip() for part in value.split(separator)]


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


def field_of(column: str) -> str:
    """Return the field of a column. For known names, case and surrounding spaces are ignored.

    The name after `attributes.` is the producer's and is kept as it is.
    """
    name = column.strip().strip("\ufeff")
    lower = name.lower()
    if lower.startswith(ATTRIBUTE_PREFIX):
        return ATTRIBUTE_PREFIX + name[len(ATTRIBUTE_PREFIX) :]
    return lower if lower in Listing.model_fields else name


def is_known(name: str) -> bool:
    """Return whether a field belongs to a listing."""
    return name in Listing.model_fields or name.startswith(ATTRIBUTE_PREFIX)


def column_problem(names: list[str]) -> str:
    """Return what is wrong with the columns of a table; empty if nothing is."""
    known = [name for name in names if is_known(name)]
    repeated = sorted({name for name in known if known.count(name) > 1})
    if repeated:
        return f"repeated {_columns(repeated)}: keep one of each"
    missing = [name for name in REQUIRED if name not in known]
    if missing:
        found = ",".join(names)
        return f"missing {_columns(missing)}: the header is {found[:200]!r}"
    return ""


def _columns(names: list[str]) -> str:
    return f"column{'s' if len(names) > 1 else ''} {', '.join(names)}"
