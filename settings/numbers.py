"""Numbers in ASCII digits. Python also reads `1_0`, `٣` and `nan`; these functions refuse them."""

from __future__ import annotations

import re

_WHOLE = re.compile(r"[0-9]{1,18}")
_DECIMAL = re.compile(r"[0-9]{1,18}(\.[0-9]{1,18})?")


def whole_number(text: str) -> int:
    """Return the whole number in the text, from 0 up.

    Raises:
        ValueError: the text has another form.
    """
    return int(_matching(_WHOLE, text, "a whole number in digits, such as 24"))


def decimal_number(text: str) -> float:
    """Return the number in the text, from 0 up, with a point for decimals and without an exponent.

    Raises:
        ValueError: the text has another form.
    """
    return float(_matching(_DECIMAL, text, "a number in digits, such as 2 or 1.5"))


def _matching(pattern: re.Pattern[str], text: str, form: str) -> str:
    if not pattern.fullmatch(text):
        raise ValueError(f"{text!r:.60} is not {form}")
    return text
