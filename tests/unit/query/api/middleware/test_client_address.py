"""Whose address a request counts under."""

from __future__ import annotations

from typing import Any

import pytest

from query.api.middleware.client_address import TrustedProxies, client_address, counted_address, is_loopback
from query.api.middleware.settings import networks

TRUSTED = networks("10.0.0.0/8, 192.0.2.1, fd00::/8")


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("10.0.0.1", "203.0.113.5", "203.0.113.5"),
        ("10.0.0.1", "203.0.113.5, 10.0.0.2", "203.0.113.5"),
        ("10.0.0.1", "198.51.100.1, 203.0.113.5", "203.0.113.5"),
        ("10.0.0.1", "10.9.9.9, 203.0.113.5, 192.0.2.1", "203.0.113.5"),
        ("10.0.0.1", "203.0.113.5:4711", "203.0.113.5"),
        ("10.0.0.1", "[2001:db8::5]:4711", "2001:db8::5"),
        ("fd00::1", "2001:db8::5", "2001:db8::5"),
        ("::ffff:10.0.0.1", "::ffff:203.0.113.5", "203.0.113.5"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "unknown", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.5, garbage", "10.0.0.1"),
        ("10.0.0.1", "10.0.0.7", "10.0.0.7"),
    ],
)
def test_the_client_is_the_last_address_that_no_trusted_proxy_has(
    peer: str, forwarded: str, client: str
) -> None:
    """What stands before it, the client may have sent itself."""
    assert client_address(peer, forwarded, TRUSTED) == client


def seen(peer: str, **headers: str) -> tuple[str, str]:
    """The address and scheme that the app sees."""
    environ: dict[str, Any] = {"REMOTE_ADDR": peer, "wsgi.url_scheme": "http", **headers}
    app = TrustedProxies(lambda *_: [], TRUSTED)
    app(environ, lambda *_: lambda __: None)
    return environ["REMOTE_ADDR"], environ["wsgi.url_scheme"]


def test_headers_of_others_are_not_believed() -> None:
    """Anyone can send them."""
    headers = {"HTTP_X_FORWARDED_FOR": "127.0.0.1", "HTTP_X_FORWARDED_PROTO": "https"}
    assert seen("203.0.113.5", **headers) == ("203.0.113.5", "http")
    assert seen("10.0.0.1", **headers) == ("127.0.0.1", "https")
    assert seen("", **headers) == ("", "http")
    assert seen("10.0.0.1", HTTP_X_FORWARDED_PROTO="gopher") == ("10.0.0.1", "http")


def test_an_ipv6_address_counts_as_its_network() -> None:
    """One customer has 2 ** 64 of them."""
    assert (
        counted_address("2001:db8:1:2:3:4:5:6") == counted_address("2001:db8:1:2::9") == "2001:db8:1:2::/64"
    )
    assert counted_address("203.0.113.5") == "203.0.113.5"
    assert counted_address("") == ""


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.255.255.254", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("localhost:8000", True),
        ("127.0.0.1:8000", True),
        ("[::1]:8000", True),
        ("shop.example:8000", False),
        ("::ffff:127.0.0.1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("[::]", False),
        ("", False),
        ("10.0.0.1", False),
        ("localhost.example", False),
        ("127.0.0.1.example", False),
    ],
)
def test_loopback_is_told_from_other_hosts(host: str, expected: bool) -> None:
    """A name could be any machine's."""
    assert is_loopback(host) is expected
