"""The Redis of the queues, and the transport options that keep messages from getting lost."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from mappings.errors import InvalidSetting
from settings.environment import seconds

DEFAULT_REDIS_URL: Final = "redis://127.0.0.1:6379/0"
DEFAULT_VISIBILITY_TIMEOUT_S: Final = 120.0


def redis_url(environ: Mapping[str, str]) -> str:
    """Return NITAMONO_REDIS_URL, in a form that both Celery and redis-py accept.

    Raises:
        InvalidSetting: it has another form. The message does not repeat it, since it may hold a password.
    """
    text = environ.get("NITAMONO_REDIS_URL") or DEFAULT_REDIS_URL
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"redis", "rediss"} and parts.port != 0
    except ValueError:  # an invalid port, half an IPv6 address
        usable = False
    if not usable or not re.fullmatch(r"/?[0-9]*", parts.path):
        raise InvalidSetting(f"NITAMONO_REDIS_URL is not a URL such as {DEFAULT_REDIS_URL}")
    return text


def redis_client(url: str) -> redis.Redis:
    """Return a client that survives a restart of Redis: its own retries last about five seconds."""
    return redis.Redis.from_url(
        url,
        retry=Retry(ExponentialBackoff(cap=1.0, base=0.1), 8),
        socket_connect_timeout=5,
        socket_timeout=10,
    )


def visibility_timeout(environ: Mapping[str, str]) -> float:
    """Return NITAMONO_VISIBILITY_TIMEOUT_S: the seconds after which Redis gives an unacknowledged message to
    another worker.

    Raises:
        InvalidSetting: it is not a number from 0.1 to 86,400.
    """
    return seconds(environ, "NITAMONO_VISIBILITY_TIMEOUT_S", DEFAULT_VISIBILITY_TIMEOUT_S)


def transport_options(unacked_key: str, visibility_timeout_s: float) -> dict[str, Any]:
    """Return Celery's `broker_transport_options` for Redis, each with its reason."""
    return {
        # A message that a dead worker held is delivered again after this; by default only after an hour.
        "visibility_timeout": visibility_timeout_s,
        # The unacknowledged messages of this queue alone: other workers may share the Redis.
        "unacked_key": unacked_key,
        "unacked_index_key": f"{unacked_key}-index",
        "unacked_mutex_key": f"{unacked_key}-mutex",
        # Look for such messages each tenth of that; kombu looks every 100 s otherwise.
        "unacked_restore_interval": max(1.0, visibility_timeout_s / 10),
        "unacked_restore_throttle": 1,
        # Without them a connection to a vanished Redis host hangs for ever.
        "socket_timeout": 30,
        "socket_connect_timeout": 5,
        "socket_keepalive": True,
    }
