"""The Redis of the queues, and the transport options that keep messages from getting lost."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import redis
from pydantic import AfterValidator
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from settings.environment import Seconds, Variable

DEFAULT_REDIS_URL: Final = "redis://127.0.0.1:6379/0"
DEFAULT_VISIBILITY_TIMEOUT_S: Final = 120.0


def valid_redis_url(text: str) -> str:
    """Return the text, if it is a URL that both Celery and redis-py accept.

    Raises:
        ValueError: it is not.
    """
    parts = urlsplit(text)  # raises on half an IPv6 address; `port` raises on one that is not a number
    if (
        parts.scheme not in {"redis", "rediss"}
        or parts.port == 0
        or not re.fullmatch(r"/?[0-9]*", parts.path)
    ):
        raise ValueError("not a URL of a Redis database")
    return text


RedisUrl = Annotated[
    str,
    AfterValidator(valid_redis_url),
    Variable(
        "NITAMONO_REDIS_URL",
        "The Redis of the queues. If it is set to a server other than its own, `make up` starts no Redis.",
        expected=f"a URL such as {DEFAULT_REDIS_URL}",
        default=f"`{DEFAULT_REDIS_URL}`",
        secret=True,
    ),
]

VisibilityTimeout = Annotated[
    Seconds,
    Variable(
        "NITAMONO_VISIBILITY_TIMEOUT_S",
        "Seconds after which Redis gives an unacknowledged message to another worker. All time limits of the "
        "workers follow from it.",
    ),
]


def redis_client(url: str) -> redis.Redis:
    """Return a client that survives a restart of Redis: its own retries last about five seconds."""
    return redis.Redis.from_url(
        url,
        retry=Retry(ExponentialBackoff(cap=1.0, base=0.1), 8),
        socket_connect_timeout=5,
        socket_timeout=10,
    )


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
        # Without them a connection to a vanished Redis host hangs forever.
        "socket_timeout": 30,
        "socket_connect_timeout": 5,
        "socket_keepalive": True,
    }
