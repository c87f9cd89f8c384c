"""Values of environment variables that more than one process reads in the same way."""

from __future__ import annotations

from collections.abc import Mapping

from mappings.errors import InvalidSetting


def seconds(environ: Mapping[str, str], name: str, default: float) -> float:
    """The variable's seconds, or the default where it is not set.

    Raises:
        InvalidSetting: it is no number from 0.1 to 86,400.
    """
    text = environ.get(name) or str(default)
    try:
        value = float(text)
    except ValueError as error:
        raise InvalidSetting(f"{name} is {text!r}, expected seconds") from error
    if not 0.1 <= value <= 86_400:
        raise InvalidSetting(f"{name} is {text!r}, expected from 0.1 to 86,400 seconds")
    return value
