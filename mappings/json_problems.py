"""What is wrong with text that is not JSON, in place of the parser's words."""

from __future__ import annotations

import json
import sys
from typing import Final, NoReturn

NOT_JSON: Final = (ValueError, RecursionError)
"""What `json.loads` raises."""


class NotANumber(ValueError):
    """`NaN` or `Infinity`, which Python reads and JSON does not have."""


def refuse_constant(name: str) -> NoReturn:
    """Refuse a constant that JSON does not have: the `parse_constant` of `json.loads`."""
    raise NotANumber(f"{name}, which JSON does not have")


def not_json(error: ValueError | RecursionError, *, of_line: bool = False) -> str:
    """Return what was found where JSON was expected, given the error of `json.loads`: `nothing`, or
    `invalid JSON at line 2, column 5`. It quotes nothing of the text, which may be personal data.

    of_line: the text is a line of a longer one, without its end.
    """
    match error:
        case NotANumber():
            return str(error)
        case json.JSONDecodeError(doc=text) if not text.strip():
            return "nothing"
        case json.JSONDecodeError(lineno=line, colno=column):
            return f"invalid JSON at {'' if of_line else f'line {line}, '}column {column}"
        case UnicodeDecodeError(start=start):
            return f"text that is not UTF-8 from byte {start + 1} on"
        case RecursionError():
            return "JSON that is nested too deep"
        case _:
            return f"a number of more than {sys.get_int_max_str_digits():,} digits"
