"""Who may call the API, how often, and from where."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Final

from annotated_types import Ge, Le
from limits import parse_many
from pydantic import AfterValidator, BeforeValidator

from settings.environment import Variable, Whole, comma_separated

OFF: Final = "off"

Network = IPv4Network | IPv6Network

_ORIGIN: Final = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:]+\](:[0-9]{1,5})?|\*")


def valid_rate_limit(text: str) -> str:
    """Return the text, if it is `off` or rate limits that `limits` understands.

    Raises:
        ValueError: it is neither, or allows nothing.
    """
    if text != OFF and any(limit.amount < 1 for limit in parse_many(text)):
        raise ValueError("a limit of 0")
    return text


def networks(text: str) -> tuple[Network, ...]:
    """Return the networks of a comma-separated list; an address is a network of one.

    Raises:
        ValueError: one is malformed.
    """
    return tuple(ip_network(part) for part in comma_separated(text))


def origins(text: str) -> tuple[str, ...]:
    """Return the origins of a comma-separated list.

    Raises:
        ValueError: one is no origin (RFC 6454) of a web page.
    """
    found = comma_separated(text)
    if not all(map(_ORIGIN.fullmatch, found)):
        raise ValueError("not an origin")
    return found


RateLimit = Annotated[str, AfterValidator(valid_rate_limit)]

_A_LIMIT: Final = "a limit such as 1800/minute, several separated by semicolons, or off"


@dataclass(frozen=True)
class AccessSettings:
    """Access without keys, rate limits, proxies and origins."""

    public_read: Annotated[
        Whole,
        Ge(0),
        Le(1),
        Variable("NITAMONO_PUBLIC_READ", "1 lets anyone read without an [API key](access.md)."),
    ] = 0
    rate_limit_per_key: Annotated[
        RateLimit,
        Variable(
            "NITAMONO_RATE_LIMIT_PER_KEY",
            "The most requests with one API key, such as `100/second;60000/hour`, or `off`.",
            expected=_A_LIMIT,
        ),
    ] = "60000/minute"
    rate_limit_per_address: Annotated[
        RateLimit,
        Variable(
            "NITAMONO_RATE_LIMIT_PER_ADDRESS",
            "The most requests without a valid key from one address (IPv6: one /64 network), or `off`. "
            "A server that is [open](access.md#when-a-key-is-needed) has no limits.",
            expected=_A_LIMIT,
        ),
    ] = "1800/minute"
    trusted_proxies: Annotated[
        tuple[Network, ...],
        BeforeValidator(networks),
        Variable(
            "NITAMONO_TRUSTED_PROXIES",
            "Addresses or networks of the [proxies](access.md#behind-a-proxy) whose `X-Forwarded-For` and "
            "`X-Forwarded-Proto` are believed, separated by commas.",
            expected="addresses or networks such as 10.0.0.0/8, separated by commas",
        ),
    ] = ()
    cors_origins: Annotated[
        tuple[str, ...],
        BeforeValidator(origins),
        Variable(
            "NITAMONO_CORS_ORIGINS",
            "Origins whose scripts may call `/v1/` from a browser, separated by commas, or `*`.",
            expected="origins such as https://shop.example, separated by commas, or *",
        ),
    ] = ()
