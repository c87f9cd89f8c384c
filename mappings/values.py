"""Values of a listing event whose meaning is certain, in the form of the schema.

What could mean two things is left as it is, and the listing's validation rejects it
(docs/decisions/147-lenient-values.md).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

CATEGORY_SEPARATOR: Final = " > "
IMAGE_SEPARATOR: Final = "|"

THREE_DECIMALS: Final = frozenset({"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"})
"""Currencies whose prices have three decimals (ISO 4217)."""

_LIST = re.compile(r"""[\[(]\s*['"].*[\])]""", re.DOTALL)
_OPENING = ("[", "(")
_PLAIN = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?|[+-]?(nan|inf)", re.ASCII | re.IGNORECASE)
# 1.290 means one thousand two hundred and ninety in many European countries.
_AMBIGUOUS = re.compile(r"[1-9]\d{0,2}\.\d{3}", re.ASCII)
# From September 2001 to 2286, seconds have ten digits and milliseconds thirteen. 20260131 and 202601310930,
# which are no epochs, have other numbers of digits.
_EPOCH = re.compile(r"(\d{10}|\d{13})(\.\d+)?", re.ASCII)
_SCALARS: Final = frozenset({str, float, int, bool})
_EPOCH_START = datetime(1970, 1, 1, tzinfo=UTC)


def canonical(event: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return the event without nulls, and with every value that has one meaning in the form of the schema."""
    fields = without_nulls(event)
    for name, convert in _CONVERSIONS.items():
        if name in fields:
            fields[name] = convert(fields[name])
    for name in ("price", "popularity"):
        if isinstance(fields.get(name), str):
            fields[name] = number(fields[name].strip(), fields.get("currency"))
    return fields


def without_nulls(event: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return the event without null fields, and without nulls in its lists and objects."""
    return {
        name: value if type(value) in _SCALARS else _without_nulls(value)
        for name, value in event.items()
        if value is not None
    }


def _without_nulls(value: object) -> object:
    if isinstance(value, Mapping):
        inner = {name: _without_null_items(each) for name, each in value.items() if each is not None}
        return {name: each for name, each in inner.items() if each != []}
    return _without_null_items(value)


def _without_null_items(value: object) -> object:
    return [each for each in value if each is not None] if isinstance(value, list | tuple) else value


def number(text: str, currency: object = None) -> float | str:
    """Return the number in a text, or the text itself if it could be another one.

    `1290` and `12.5` are certain. `1,290` is not, nor is `1.290` except in a currency with three decimals.
    """
    if _AMBIGUOUS.fullmatch(text) and currency not in THREE_DECIMALS:
        return text
    return float(text) if _PLAIN.fullmatch(text) else text


def instant(value: object) -> object:
    """Return epoch seconds (ten digits) or milliseconds (thirteen) as ISO 8601; other values unchanged."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    text = str(value).strip() if is_number or isinstance(value, str) else ""
    match = _EPOCH.fullmatch(text)
    if not match:
        return value
    micros = int(Decimal(text) * (10**6 if len(match[1]) == 10 else 10**3))
    return (_EPOCH_START + timedelta(microseconds=micros)).isoformat()


def split(separator: str) -> Callable[[object], object]:
    """Return a function that splits a text at the separator, without spaces and empty parts.

    A text that looks like a list, such as NumPy's `['a' 'b']`, and other values are returned unchanged.
    """

    def parts(value: object) -> object:
        if not isinstance(value, str) or (value.lstrip()[:1] in _OPENING and _LIST.fullmatch(value.strip())):
            return value
        return [part for each in value.split(separator) if (part := each.strip())]

    return parts


def _upper(value: object) -> object:
    return value.strip().upper() if isinstance(value, str) else value


def _lower(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


_CONVERSIONS: Final[Mapping[str, Callable[[object], object]]] = {
    "category": split(CATEGORY_SEPARATOR.strip()),
    "images": split(IMAGE_SEPARATOR),
    "currency": _upper,
    "status": _lower,
    "created_at": instant,
    "updated_at": instant,
}
