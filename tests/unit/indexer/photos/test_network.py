"""Connections to public hosts only."""

from __future__ import annotations

import ipaddress
import socket
import time
from typing import Any

import httpcore
import pytest

from indexer.errors import PhotoRefused, PhotoUnusable
from indexer.photos.network import Deadline, PublicBackend, check_destination, is_public, resolve
from indexer.settings import FetchSettings


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "192.0.2.1",
        "198.18.0.1",
        "::",
        "::1",
        "fe80::1",
        "fc00::1",
        "ff02::1",
        "2001:db8::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "64:ff9b:1::a00:1",
        "::127.0.0.1",
        "::ffff:0:127.0.0.1",
        "fec0::1",
        "5f00::1",
        "3fff::1",
        "192.0.0.192",
        "192.88.99.1",
        "2002:a00:1::",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    ],
)
def test_addresses_that_are_not_public(address: str) -> None:
    """Including those that contain such an address."""
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::"]
)
def test_public_addresses(address: str) -> None:
    """Including a public IPv4 address behind NAT64."""
    assert is_public(ipaddress.ip_address(address))


def test_an_allowed_network_may_be_private_and_on_any_port() -> None:
    """Such as an internal image server."""
    settings = FetchSettings(allowed_networks=(ipaddress.ip_network("10.1.0.0/16"),))

    check_destination(settings, "images", ipaddress.ip_address("10.1.2.3"), 8080)
    with pytest.raises(PhotoRefused, match=r"10\.2\.2\.3"):
        check_destination(settings, "images", ipaddress.ip_address("10.2.2.3"), 80)


def test_a_name_with_one_private_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever address would be tried first."""
    monkeypatch.setattr(socket, "getaddrinfo", answers("8.8.8.8", "127.0.0.1"))
    backend = PublicBackend(FetchSettings(), Deadline())

    with pytest.raises(PhotoRefused) as caught:
        backend.connect_tcp("rebinding.example", 80)
    assert caught.value.reason == "photo_private_address"


def test_the_connection_goes_to_the_address_that_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name is not resolved a second time for the connection."""
    asked: list[str] = []
    connected: list[object] = []
    resolver = answers("8.8.8.8")

    def ask(host: str, port: int, **options: Any) -> Any:
        asked.append(host)
        return resolver(host, port, **options)

    def connect(address: tuple[str, int], *_: object, **__: object) -> socket.socket:
        connected.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "getaddrinfo", ask)
    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(httpcore.ConnectError):
        PublicBackend(FetchSettings(), Deadline()).connect_tcp("shop.example", 443)
    assert asked == ["shop.example"]
    assert connected == [("8.8.8.8", 443)]


def test_a_name_that_does_not_resolve_is_retried() -> None:
    """The name server may be unavailable."""
    with pytest.raises(httpcore.ConnectError, match="does not resolve"):
        resolve("no-such-host.invalid", 80)


def test_a_deadline_shortens_timeouts() -> None:
    """Only in the thread and the block that set it."""
    deadline = Deadline()
    assert deadline.clip(5) == 5
    with deadline.within(0.05):
        left = deadline.clip(5)
        assert left is not None
        assert left <= 0.05
        time.sleep(0.06)
        with pytest.raises(PhotoUnusable, match="photo_timeout"):
            deadline.clip(5)
    assert deadline.clip(None) is None


def answers(*addresses: str) -> Any:
    """A resolver that returns these addresses for every name."""

    def getaddrinfo(host: str, port: int, **_: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    return getaddrinfo
