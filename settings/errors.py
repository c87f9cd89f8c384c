"""The base of all errors that a user can correct."""

from __future__ import annotations

from typing import ClassVar, Final

ELASTICSEARCH: Final = "ELASTICSEARCH_URL"
REDIS: Final = "NITAMONO_REDIS_URL"
"""The variables with the URLs of the services."""

RAISE_TIMEOUT: Final = "raise ELASTICSEARCH_TIMEOUT_S, or reduce the load on the cluster"
"""The next step if Elasticsearch answers too late."""


def how_to_start(variable: str) -> str:
    """Return the next step if a service does not answer, given the variable with its URL."""
    return f"start it with `make up` or set {variable}"


class UserError(Exception):
    """Something that a user can correct. The message says what was found and what was expected."""

    service: ClassVar[str] = ""
    """The variable with the URL of the service that failed, if the cause is an error of its client."""


class InvalidSetting(UserError):
    """An environment variable holds a value that cannot be used."""
