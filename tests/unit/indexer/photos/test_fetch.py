"""Rules of fetching that need no server."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from indexer.errors import PhotoGone, PhotoRefused, PhotoUnavailable, PhotoUnusable
from indexer.photos.fetch import PhotoFetcher, check_status, read_limited
from indexer.photos.urls import checked_url, location_text, redirect_target, request_url
from indexer.settings import FetchSettings
from mappings.image_roots import ImageRoots
from tests.photo_server import photo_server, redirect, serve


def test_a_url_is_sent_in_ascii() -> None:
    """Japanese hosts and paths included; what is percent-encoded stays."""
    url = request_url(checked_url("https://写真.example/皿 1%20.jpg?size=大"))

    assert url.host == "写真.example".encode("idna")
    assert url.target == b"/%E7%9A%BF%201%20.jpg?size=%E5%A4%A7"


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/写真/a.jpg".encode(), "/%E5%86%99%E7%9C%9F/a.jpg"),
        (b"/%E5%86%99%E7%9C%9F/a.jpg", "/%E5%86%99%E7%9C%9F/a.jpg"),
        ("/写%E7%9C%9F/a b.jpg".encode(), "/%E5%86%99%E7%9C%9F/a%20b.jpg"),
        ("皿.jpg".encode(), "/shop/%E7%9A%BF.jpg"),
        ("../é.jpg".encode(), "/%C3%A9.jpg"),
        ("/a.jpg?名=皿#写真".encode(), "/a.jpg?%E5%90%8D=%E7%9A%BF"),
        ("/写真.jpg".encode("cp932"), "/%8E%CA%90%5E.jpg"),
        ("/é.jpg".encode("latin-1"), "/%E9.jpg"),
        ("//{host}/皿.jpg".encode(), "/%E7%9A%BF.jpg"),
        ("http://{host}/皿.jpg".encode(), "/%E7%9A%BF.jpg"),
        ("HTTP://{host}/皿.jpg".encode(), "/%E7%9A%BF.jpg"),
    ],
)
def test_a_redirect_is_followed_in_any_encoding_of_its_location(location: bytes, target: str) -> None:
    """Raw UTF-8, percent-encoded or both, other encodings, relative, with spaces and fragments."""
    settings = FetchSettings(allowed_hosts=frozenset({"127.0.0.1"}))
    with photo_server() as server:
        host = f"127.0.0.1:{server.server_port}".encode()
        start = server.url("/shop/", redirect(location.replace(b"{host}", host).decode("latin-1")))
        server.url(target, serve(b"photo"))
        assert PhotoFetcher(settings, ImageRoots()).fetch(start) == b"photo"


def test_a_redirect_to_a_japanese_host_is_sent_in_ascii() -> None:
    """The host by IDNA, the path in percent-encoded UTF-8."""
    location = location_text("https://写真.example/皿.jpg".encode())
    url = request_url(checked_url(redirect_target("https://example.com/", location)))

    assert (url.host, url.target) == (b"xn--g7qs82g.example", b"/%E7%9A%BF.jpg")


@pytest.mark.parametrize(
    "reference",
    [
        "http://[::1/a",
        "http://h\u2100.example/",
        "http://8.8.8.8/\ud800.jpg",
        "http://8.8.8.8:x/",
        "http://a..b/",
    ],
)
def test_a_malformed_url_is_refused_without_a_crash(reference: str) -> None:
    """A crash would fail its whole chunk."""
    with pytest.raises(PhotoRefused, match="photo_url_malformed"):
        PhotoFetcher(FetchSettings(), ImageRoots()).fetch(reference)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://example.com/a", "photo_scheme_not_allowed"),
        ("http://", "photo_url_malformed"),
        ("http://[::1/a", "photo_url_malformed"),
        ("http://a@example.com/", "photo_url_malformed"),
        ("http://example.com:0/", "photo_url_malformed"),
    ],
)
def test_urls_that_are_not_allowed(url: str, reason: str) -> None:
    """Each has its reason."""
    with pytest.raises(PhotoRefused) as caught:
        checked_url(url)
    assert caught.value.reason == reason


def test_a_redirect_from_https_to_http_is_refused() -> None:
    """One from http to https, or a relative one, is followed."""
    for start in ("https://example.com/a", "HTTPS://example.com/a"):
        with pytest.raises(PhotoRefused, match="photo_insecure_redirect"):
            redirect_target(start, "http://example.com/b")
    assert redirect_target("http://example.com/a", "https://example.com/b") == "https://example.com/b"
    assert redirect_target("https://example.com/a/b", "../c") == "https://example.com/c"
    with pytest.raises(PhotoRefused, match="photo_url_malformed"):
        redirect_target("https://example.com/", "https://[::1")


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (404, PhotoGone),
        (410, PhotoGone),
        (403, PhotoRefused),
        (204, PhotoRefused),
        (429, PhotoUnavailable),
        (500, PhotoUnavailable),
        (503, PhotoUnavailable),
    ],
)
def test_the_status_decides_whether_to_retry(status: int, failure: type[Exception]) -> None:
    """Gone and refused are permanent."""
    with pytest.raises(failure):
        check_status(status, "http://example.com/a")


def test_a_file_is_read_up_to_the_limit(tmp_path: Path) -> None:
    """One byte more is too large."""
    (tmp_path / "a").write_bytes(b"12345")

    assert read_limited(tmp_path / "a", 5) == b"12345"
    with pytest.raises(PhotoUnusable, match="photo_too_large"):
        read_limited(tmp_path / "a", 4)


def test_a_pipe_does_not_block(tmp_path: Path) -> None:
    """It is not a regular file, even if it replaced one."""
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(PhotoRefused, match="photo_not_a_file"):
        read_limited(tmp_path / "pipe", 5)


def test_a_link_created_after_the_check_is_not_followed(tmp_path: Path) -> None:
    """The path was resolved before, so a link may be an attack."""
    (tmp_path / "secret").write_text("x")
    (tmp_path / "photo").symlink_to(tmp_path / "secret")

    with pytest.raises(PhotoUnavailable):
        read_limited(tmp_path / "photo", 5)


def test_a_deleted_file_is_gone(tmp_path: Path) -> None:
    """Between the check and the read."""
    with pytest.raises(PhotoGone, match="photo_not_found"):
        read_limited(tmp_path / "none", 5)
