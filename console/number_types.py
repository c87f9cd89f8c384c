"""Number parameters of commands, read as strictly as those of the API and the settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from settings.numbers import decimal_number, whole_number


class WholeNumber(click.IntRange):
    """A whole number in digits, within a range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number.

        Raises:
            click.BadParameter: the value is not a number in digits, or out of range.
        """
        return int(super().convert(_read(whole_number, value), param, ctx))


class Number(click.FloatRange):
    """A number in digits, perhaps with a decimal point, within a range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number.

        Raises:
            click.BadParameter: the value is not a number in digits, or out of range.
        """
        return float(super().convert(_read(decimal_number, value), param, ctx))


def _read(reader: Callable[[str], float], value: Any) -> Any:
    """Return the number in a text; a default is a number already."""
    try:
        return reader(value) if isinstance(value, str) else value
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
