"""Whether a server may start: one that other machines reach needs API keys."""

from __future__ import annotations

import logging

from elasticsearch import ApiError, Elasticsearch, TransportError

from query.access.store import read_keys
from query.api.settings import QuerySettings
from settings.errors import UserError

logger = logging.getLogger(__name__)

_CREATE = "`nitamono keys create --role operate NAME`"


class Unprotected(UserError):
    """A server that other machines would reach, where no API key exists."""


def require_keys(settings: QuerySettings, es: Elasticsearch) -> None:
    """Check that keys exist where other machines reach the server; with public reads, only warn.

    This tells the operator. `Guard` alone keeps a server closed that was started in another way.

    Raises:
        Unprotected: the message says how to create a key.
    """
    if not settings.is_reachable:
        return
    try:
        if read_keys(es, settings.elasticsearch.prefix):
            return
    except (ApiError, TransportError) as error:
        logger.warning("cannot read the API keys: %s; until they are read, none is accepted", error)
        return
    if settings.access.public_read:
        logger.warning(
            "no API key exists: anyone may read, and nothing else is allowed; %s creates one", _CREATE
        )
        return
    raise Unprotected(
        f"{_why_reachable(settings)}, and no API key exists. Create one with {_CREATE} and start again; "
        "or set NITAMONO_PUBLIC_READ=1, by which anyone may read and nothing else; or listen on 127.0.0.1 "
        "without trusted proxies"
    )


def _why_reachable(settings: QuerySettings) -> str:
    if settings.access.trusted_proxies:
        return "NITAMONO_TRUSTED_PROXIES is set, so other machines reach this server"
    return f"NITAMONO_API_HOST is {settings.host}, so other machines reach this server"
