"""The base of all errors that a user can correct."""

from __future__ import annotations

from typing import ClassVar, Final

ELASTICSEARCH: Final = "ELASTICSEARCH_URL"
REDIS: Final = "NITAMONO_REDIS_URL"
"""The variables with the URLs of the services."""


class UserError(Exception):
    """Something that a user can correct. The message says what was found and what was expected."""

    service: ClassVar[str] = ""
    """The variable with the URL of the service that does not answer, if that is what happened."""


class InvalidSetting(UserError):
    """An environment variable holds a value that cannot be used."""
