"""URLs of databases, whose passwords are never shown."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from settings.errors import InvalidSetting

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_DRIVERS: Final = dict.fromkeys(("postgres", "postgresql"), "postgresql+psycopg")
"""Names of databases without a driver to those with the driver that the extra `sql` installs."""


def database_url(text: str, environ: Mapping[str, str]) -> URL:
    """Return the URL, with each `${VARIABLE}` replaced by its value.

    In a part of a URL, such as the password, the value is taken as it is, without percent-encoding.

    Raises:
        InvalidSetting: a variable is not set, or the text is not a URL of a database. The text is left out.
    """
    if whole := _VARIABLE.fullmatch(text.strip()):
        text = _value(whole[1], environ)
    try:
        url = make_url(text.strip())
    except (ArgumentError, ValueError):  # ValueError: a port that is no number
        raise InvalidSetting(
            "The URL of the database cannot be read, expected postgresql://user@host/database, "
            "sqlite:////path/to/file or another URL of SQLAlchemy"
        ) from None  # its own text may repeat the URL
    fill = _filler(environ)
    return url.set(
        drivername=_DRIVERS.get(url.drivername, url.drivername),
        username=url.username and fill(url.username),
        password=url.password and fill(str(url.password)),
        host=url.host and fill(url.host),
        database=url.database and fill(url.database),
    )


def masked(text: str, url: URL) -> str:
    """Return the text without the password of the URL."""
    password = str(url.password or "")
    if not password:
        return text
    encoded = url.render_as_string(hide_password=False).partition("@")[0].rpartition(":")[2]
    for secret in sorted({password, encoded}, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def _filler(environ: Mapping[str, str]) -> Callable[[str], str]:
    return lambda text: _VARIABLE.sub(lambda match: _value(match[1], environ), text)


def _value(name: str, environ: Mapping[str, str]) -> str:
    value = environ.get(name)
    if not value:
        raise InvalidSetting(f"{name} is not set, and the URL of the database needs it")
    return value
