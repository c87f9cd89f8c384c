"""The errors of pydantic as problems with stable reason codes."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, LiteralString, get_args

from pydantic import BaseModel, ValidationError, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import ErrorDetails, PydanticCustomError

from console.text import cut
from mappings.currencies import CURRENCY_FORM
from mappings.errors import Problem, UnknownField

# An unknown field can have any name.
LONGEST_FIELD = 64

_DATES = "2026-01-31T09:30:00Z or 2026-01-31 18:30:00+09:00"

ID_FORM = "1 to 256 bytes of text without control characters, other than `.` and `..`"

PRICE_FORM = "0 for a giveaway, or a number from 0.01 up"

# pydantic's error types, as the second half of a reason code and what to tell a person.
_SUFFIXES: dict[str, tuple[str, str]] = {
    "missing": ("missing", "a value"),
    "greater_than_equal": ("not_positive", "a number from {ge:g} up"),
    "less_than_equal": ("too_large", "a smaller number"),
    "price_too_small": ("not_positive", PRICE_FORM),
    "finite_number": ("not_finite", "a finite number"),
    "string_too_long": ("too_long", "at most {max_length} characters"),
    "string_too_short": ("empty", "at least {min_length} character"),
    "too_long": ("too_many", "at most {max_length} values"),
    "too_short": ("empty", "at least {min_length} value"),
    "malformed": ("malformed", "{expected}"),
    "id_empty": ("empty", ID_FORM),
    "id_too_long": ("too_long", ID_FORM),
    "id_malformed": ("malformed", ID_FORM),
    "enum": ("unknown", "{expected}"),
    "repeated": ("repeated", "each once"),
    "currency_unknown": ("unknown", CURRENCY_FORM),
    "separator": ("has_separator", "a name without '>'"),
    "in_future": ("in_future", "no later than {latest}"),
    "too_early": ("too_early", "no earlier than {earliest}"),
    "too_old": ("too_old", "no earlier than {earliest}"),
    "timezone_aware": ("no_timezone", f"a time zone too, such as {_DATES}"),
    "day_alone": ("no_timezone", f"a time and a time zone too, such as {_DATES}"),
    "datetime_type": ("wrong_type", f"a date as text, such as {_DATES}"),
    "datetime_from_date_parsing": ("malformed", f"a date such as {_DATES}"),
    "datetime_parsing": ("malformed", f"a date such as {_DATES}"),
    "datetime_object_invalid": ("malformed", f"a date such as {_DATES}"),
    "string_type": ("wrong_type", "text"),
    "float_type": ("wrong_type", "a number such as 1290 or 12.5"),
    "tuple_type": (
        "wrong_type",
        'a list such as ["a", "b"], or text such as a > b for categories, a|b for photos',
    ),
    "literal_error": ("unknown", "{expected}"),
    "unusable": ("unusable", "{expected}"),
    "dict_type": ("wrong_type", "an object"),
    "model_type": ("wrong_type", "an object"),
    "string_unicode": ("malformed", "text that is valid Unicode"),
}

_IN_A_FILE = {
    "tuple_type": "a list",
    "greater_than": "a number above {gt:g}",
    "less_than_equal": "a number of at most {le:g}",
}
"""What is expected in a file that is no list of events, where that is said in another way."""


def first_per_field(error: ValidationError, model: type[BaseModel]) -> tuple[Problem, ...]:
    """Return one problem per field of the model: a union's branches or a tuple's items would repeat it."""
    problems: dict[str, Problem] = {}
    for detail in error.errors(include_url=False):
        problem = _to_problem(detail, model)
        problems.setdefault(problem.field, problem)
    return tuple(problems.values())


def unknown_field(model: type[BaseModel], detail: ErrorDetails) -> UnknownField:
    """Return the problem of a field that the model, or a model nested in it, does not have.

    Args:
        model: what was validated.
        detail: an error of the type `extra_forbidden`.
    """
    path, parent = "", model
    *parents, name = detail["loc"]
    for part in parents:
        if isinstance(part, int):
            path = f"{path}[{part}]"
        else:
            path = f"{path}.{part}" if path else part
            parent = _model_in(parent.model_fields[part].annotation) or parent
    field = printable(str(name)[:LONGEST_FIELD])
    reason = f"{parents[0] if parents else field}_unknown"
    return UnknownField(
        f"{path}.{field}" if path else field,
        reason,
        shown(detail["input"]),
        ", ".join(info.alias or each for each, info in parent.model_fields.items()),
    )


def expecting(expected: str) -> WrapValidator:
    """Return a validator that says what is expected wherever a value cannot be used."""
    return _in_words("unusable", expected)


def form(expected: str) -> WrapValidator:
    """Return a validator that says what is expected wherever a text does not match its pattern."""
    return _in_words("malformed", expected, only="string_pattern_mismatch")


def _in_words(error_type: LiteralString, expected: str, only: str | None = None) -> WrapValidator:
    """Return a validator that replaces all errors, or `only` those of one type."""

    def validated(value: object, validate: ValidatorFunctionWrapHandler) -> object:
        try:
            return validate(value)
        except ValidationError as error:
            if only and error.errors()[0]["type"] != only:
                raise
            raise PydanticCustomError(error_type, "{expected}", {"expected": expected}) from error

    return WrapValidator(validated)


def problem_of_file(model: type[BaseModel], detail: ErrorDetails) -> str:
    """Return what is wrong with a value of a file, and where: `categories[2].item: found …, expected …`."""
    if detail["type"] == "extra_forbidden":
        return str(unknown_field(model, detail))
    loc = detail["loc"][:-2] if detail["loc"][-1:] == ("[key]",) else detail["loc"]
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)
    place = printable(place.removeprefix("."))
    if detail["type"] == "value_error":
        message = detail["msg"].removeprefix("Value error, ")
        return f"{place}: {message}" if place else message
    expected = _IN_A_FILE.get(detail["type"])
    return str(_found_and_expected(place or "the file", detail, expected))


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the model in an annotation such as `tuple[Item, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_in, get_args(annotation))), None)


def _to_problem(detail: ErrorDetails, model: type[BaseModel]) -> Problem:
    if detail["type"] == "extra_forbidden":
        return unknown_field(model, detail)
    # Without a location it is a field whose name is not valid Unicode.
    field = printable(str(detail["loc"][0])[:LONGEST_FIELD]) if detail["loc"] else "field"
    return _found_and_expected(field, detail)


def _found_and_expected(field: str, detail: ErrorDetails, instead: str | None = None) -> Problem:
    """Return the problem of a field, with another text for what is expected where one is given."""
    suffix, usual = _SUFFIXES.get(detail["type"], ("wrong_type", _plain(detail["msg"])))
    found = "nothing" if detail["type"] == "missing" else shown(detail["input"])
    expected = (instead or usual).format(**detail.get("ctx", {}))
    return Problem(field, f"{field}_{suffix}", found, expected)


def one_of(values: Iterable[str]) -> str:
    """Return `a, b or c`."""
    *others, last = values
    return f"{', '.join(others)} or {last}" if others else last


def printable(text: str) -> str:
    """Return the text with each half of a surrogate pair escaped: JSON allows them, UTF-8 does not."""
    return text.encode(errors="backslashreplace").decode()


DETAIL_LIMIT = 2_000
"""Characters of a stored detail."""


def shortened(detail: str) -> str:
    """Return the detail as it is stored: printable and of at most DETAIL_LIMIT characters."""
    return printable(cut(detail, DETAIL_LIMIT))


def _plain(message: str) -> str:
    return message.removeprefix("Input should be ")


def shown(value: object) -> str:
    """Return the value in at most about 80 characters: text in quotes, anything else as JSON."""
    text = repr(value) if isinstance(value, str) else _as_json(value)
    return text if len(text) <= 80 else f"{text[:60]}… ({len(text)} characters)"


def _as_json(value: object) -> str:
    return printable(json.dumps(value, ensure_ascii=False, default=str))
