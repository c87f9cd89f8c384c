"""Values of environment variables that more than one process reads in the same way."""

from __future__ import annotations

from collections.abc import Mapping

from mappings.errors import InvalidSetting
from settings.numbers import decimal_number, whole_number


def seconds(environ: Mapping[str, str], name: str, default: float) -> float:
    """The variable's seconds, or the default where it is not set.

    Raises:
        InvalidSetting: it is no number from 0.1 to 86,400.
    """
    if not (text := environ.get(name)):
        return default
    try:
        value = decimal_number(text)
    except ValueError as error:
        raise InvalidSetting(f"{name} is {text!r:.60}, expected seconds") from error
    if not 0.1 <= value <= 86_400:
        raise InvalidSetting(f"{name} is {text!r:.60}, expected from 0.1 to 86,400 seconds")
    return value


def whole(
    environ: Mapping[str, str], name: str, default: int, least: int = 1, most: int | None = None
) -> int:
    """The variable's whole number, or the default where it is not set.

    Raises:
        InvalidSetting: it is no whole number from `least` up, or to `most` where there is such a bound.
    """
    if not (text := environ.get(name)):
        return default
    expected = f"a whole number from {least} {'up' if most is None else f'to {most}'}"
    try:
        value = whole_number(text)
    except ValueError as error:
        raise InvalidSetting(f"{name} is {text!r:.60}, expected {expected}") from error
    if value < least or (most is not None and value > most):
        raise InvalidSetting(f"{name} is {text!r:.60}, expected {expected}")
    return value
