"""Durations as parameters of commands."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any, Final, NamedTuple

import click

_UNITS: Final = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
LONGEST: Final = timedelta(days=36_500)
"""A century. A longer time before now leads to dates before the year 1."""


class Duration(NamedTuple):
    """A duration, and the text that it was given as."""

    text: str
    time: timedelta

    def __str__(self) -> str:
        return self.text


class DurationType(click.ParamType[Duration]):
    """A duration such as `7d`, `12h`, `30m` or `45s`."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Duration:
        """Return the duration.

        Raises:
            click.BadParameter: the text has another form, or the duration is too long.
        """
        if isinstance(value, Duration):  # click may convert a value twice
            return value
        match = re.fullmatch(r"([0-9]{1,6})([dhms])", value)
        if match is None:
            self.fail(f"found {value!r}, expected a duration such as 7d, 12h, 30m or 45s", param, ctx)
        time = timedelta(**{_UNITS[match[2]]: int(match[1])})
        if time > LONGEST:
            self.fail(f"found {value!r}, expected at most {LONGEST.days:,} days", param, ctx)
        return Duration(value, time)


DURATION: Final = DurationType()
