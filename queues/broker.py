"""Where the queues are, and how their messages are kept from getting lost."""

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
    """NITAMONO_REDIS_URL, in a form that both Celery and redis-py can read.

    Raises:
        InvalidSetting: another form. It may hold a password, so the message does not repeat it.
    """
    text = environ.get("NITAMONO_REDIS_URL") or DEFAULT_REDIS_URL
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"redis", "rediss"} and parts.port != 0
    except ValueError:  # a port that is none, half an IPv6 address
        usable = False
    if not usable or not re.fullmatch(r"/?[0-9]*", parts.path):
        raise InvalidSetting(f"NITAMONO_REDIS_URL is not a URL such as {DEFAULT_REDIS_URL}")
    return text


def redis_client(url: str) -> redis.Redis:
    """A client that rides out a restart of Redis: it tries for about five seconds before it gives up."""
    return redis.Redis.from_url(
        url,
        retry=Retry(ExponentialBackoff(cap=1.0, base=0.1), 8),
        socket_connect_timeout=5,
        socket_timeout=10,
    )


def visibility_timeout(environ: Mapping[str, str]) -> float:
    """NITAMONO_VISIBILITY_TIMEOUT: seconds after which Redis gives a message that nobody acknowledged to
    another worker.

    Raises:
        InvalidSetting: it is no number from 0.1 to 86,400.
    """
    return seconds(environ, "NITAMONO_VISIBILITY_TIMEOUT", DEFAULT_VISIBILITY_TIMEOUT_S)


def transport_options(unacked_key: str, visibility_timeout_s: float) -> dict[str, Any]:
    """Celery's `broker_transport_options` for Redis, each for a reason."""
    return {
        # A message that a dead worker held is given out again after this; by default only after an hour.
        "visibility_timeout": visibility_timeout_s,
        # What is in a worker's hands, apart from that of other workers on this Redis.
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
