"""The address of the client, also behind proxies that the operator trusts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING

from query.api.middleware.settings import Network

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


class TrustedProxies:
    """WSGI middleware by which REMOTE_ADDR is the client's address, and the scheme the one it used.

    The environ is changed in place, so that the access log has that address too.
    """

    def __init__(
        self, app: Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]], trusted: Sequence[Network]
    ) -> None:
        self._app, self._trusted = app, trusted

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        peer = environ.get("REMOTE_ADDR", "")
        if self._trusted and _is_within(_address(peer), self._trusted):
            forwarded = environ.get("HTTP_X_FORWARDED_FOR", "")
            environ["REMOTE_ADDR"] = client_address(peer, forwarded, self._trusted)
            scheme = environ.get("HTTP_X_FORWARDED_PROTO", "").lower()
            if scheme in {"http", "https"}:
                environ["wsgi.url_scheme"] = scheme
        return self._app(environ, start_response)


def client_address(peer: str, forwarded_for: str, trusted: Sequence[Network]) -> str:
    """Return the last address that is no trusted proxy's: what is left of it may be invented."""
    client = _address(peer)
    for text in reversed(forwarded_for.split(",")):
        before = _address(text)
        if before is None or not _is_within(client, trusted):
            break
        client = before
    return str(client)


def counted_address(text: str) -> str:
    """Return what requests of an address are counted under: for IPv6 its /64 network, which has one user."""
    address = _address(text)
    return str(IPv6Network((address, 64), strict=False)) if isinstance(address, IPv6Address) else text


@lru_cache(1024)
def is_loopback(host: str) -> bool:
    """Return whether an address or a host, perhaps with a port, is of this machine alone."""
    address = _address(host)
    return address.is_loopback if address else host.partition(":")[0] == "localhost"


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """Return the address in `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1` or `[2001:db8::1]:80`, if any."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _is_within(address: IPv4Address | IPv6Address | None, networks: Iterable[Network]) -> bool:
    return address is not None and any(address in network for network in networks)
