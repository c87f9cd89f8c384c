"""Connections to public hosts only, and never beyond a deadline.

The check and the connection use the same resolved address, so that a name that resolves first to a public
address and then to a private one (DNS rebinding) has no effect. TLS still verifies the name.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpcore

from indexer.errors import PhotoRefused, PhotoUnusable
from indexer.settings import FetchSettings, Network

TIMED_OUT = "photo_timeout"

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# An IPv6 address with this prefix contains an IPv4 address that a gateway connects to (RFC 6052).
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


# Only from here has IANA allocated addresses of the internet. Python takes the rest for global, unless it is
# listed as special: also site-local (fec0::/10) and IPv4-compatible addresses (::127.0.0.1).
ALLOCATED = ipaddress.IPv6Network("2000::/3")
# For protocols of the IETF (RFC 6890), and a cloud's metadata at 192.0.0.192; relays of 6to4 (RFC 7526);
# documentation (RFC 9637). Python 3.11 takes them for global.
SPECIAL = tuple(map(ipaddress.ip_network, ("192.0.0.0/24", "192.88.99.0/24", "3fff::/20")))


def destination(address: Address) -> Address:
    """Return the address that packets reach: the IPv4 address inside a mapped, NAT64 or 6to4 one."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def is_public(address: Address) -> bool:
    """Return whether the address is on the public internet: not private, loopback, link-local, shared,
    reserved, multicast or unspecified."""
    end = destination(address)
    if isinstance(end, ipaddress.IPv6Address) and (end not in ALLOCATED or end.teredo is not None):
        return False
    return end.is_global and not end.is_multicast and not _in_networks(end, SPECIAL)


def resolve(host: str, port: int) -> list[Address]:
    """Return the addresses of a host, in the system's order of preference.

    Raises:
        httpcore.ConnectError: the name does not resolve.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise httpcore.ConnectError(f"{host} does not resolve: {error}") from error
    # An IPv6 address may come with a zone, `fe80::1%eth0`.
    return list(dict.fromkeys(ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found))


class Deadline:
    """A deadline for the request of each thread. A thread outside of `within` is not limited."""

    def __init__(self) -> None:
        self._local = threading.local()

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Limit this thread to the seconds inside the block."""
        self._local.end = time.monotonic() + seconds
        try:
            yield
        finally:
            del self._local.end

    def clip(self, timeout: float | None) -> float | None:
        """Return the timeout, at most the seconds that are left.

        Raises:
            PhotoUnusable: no time is left.
        """
        end: float | None = getattr(self._local, "end", None)
        if end is None:
            return timeout
        left = end - time.monotonic()
        if left <= 0:
            raise PhotoUnusable(TIMED_OUT, "the host responds, but the photo takes longer than its deadline")
        return left if timeout is None else min(left, timeout)


class DeadlineStream(httpcore.NetworkStream):
    """A connection whose reads and writes end at the deadline of the thread that uses it."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return the next bytes, empty at the end."""
        return self._stream.read(max_bytes, self._deadline.clip(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send the bytes."""
        self._stream.write(buffer, self._deadline.clip(timeout))

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Return the connection with TLS; the certificate must be for `server_hostname`."""
        clipped = self._deadline.clip(timeout)
        return DeadlineStream(self._stream.start_tls(ssl_context, server_hostname, clipped), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        """Return information about the underlying connection."""
        return self._stream.get_extra_info(info)


class PublicBackend(httpcore.SyncBackend):
    """Connects only to addresses that the settings allow."""

    def __init__(self, settings: FetchSettings, deadline: Deadline) -> None:
        self._settings = settings
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Return a connection to the first address of the host that accepts one.

        Raises:
            PhotoRefused: an address is not public, or the port is not allowed.
            httpcore.ConnectError, httpcore.ConnectTimeout: none of the addresses accepts one.
        """
        addresses = resolve(host, port)
        for address in addresses:
            check_destination(self._settings, host, address, port)
        failure: httpcore.NetworkError | httpcore.TimeoutException | None = None
        for address in addresses:
            try:
                stream = super().connect_tcp(
                    str(address), port, self._deadline.clip(timeout), local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return DeadlineStream(stream, self._deadline)
        raise failure or httpcore.ConnectError(f"{host} has no address")


def check_destination(settings: FetchSettings, host: str, address: Address, port: int) -> None:
    """Check that photos may be fetched from the address and port.

    Raises:
        PhotoRefused: they may not; the detail names the address or the port.
    """
    if host.lower() in settings.allowed_hosts or _in_networks(address, settings.allowed_networks):
        return
    if not is_public(address):
        raise PhotoRefused(
            "photo_private_address",
            f"{host} is at {address}, which is not on the public internet; expected a public address, "
            "or one that NITAMONO_FETCH_ALLOWED_HOSTS names",
        )
    if port not in settings.ports:
        allowed = ", ".join(map(str, sorted(settings.ports)))
        raise PhotoRefused("photo_port_not_allowed", f"port {port} of {host}; expected one of {allowed}")


def _in_networks(address: Address, networks: Iterable[Network]) -> bool:
    return any(destination(address) in network for network in networks)
