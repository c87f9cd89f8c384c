"""Photos on disk, and conditional requests for them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from indexer.errors import PhotoGone, PhotoRefused
from indexer.photos import cache
from indexer.photos.cache import PhotoCache, Validators
from indexer.photos.fetch import PhotoFetcher
from indexer.settings import FetchSettings
from mappings.image_roots import ImageRoots
from tests.photo_server import photo_server, redirect, serve, versioned

DATE = "Sat, 01 Nov 2025 00:00:00 GMT"


def fetcher_with(folder: Path | None) -> PhotoFetcher:
    """A fetcher that keeps photos in the folder."""
    settings = FetchSettings(allowed_hosts=frozenset({"127.0.0.1"}))
    return PhotoFetcher(replace(settings, cache_dir=folder), ImageRoots())


@pytest.mark.parametrize("validators", [{"ETag": '"1"'}, {"Last_Modified": DATE}, {"ETag": 'W/"é"'}])
def test_an_unchanged_photo_is_not_sent_again(tmp_path: Path, validators: dict[str, str]) -> None:
    """By another process of the worker, after a restart; the host answers 304 without the photo."""
    with photo_server() as server:
        url = server.url("/a", versioned(b"photo", **validators))
        assert fetcher_with(tmp_path).fetch(url) == b"photo"
        server.url("/a", serve(b"", 304))
        assert fetcher_with(tmp_path).fetch(url) == b"photo"


def test_a_photo_replaced_under_its_url_is_noticed(tmp_path: Path) -> None:
    """And kept in place of the old one; one that was deleted is gone."""
    fetcher = fetcher_with(tmp_path)
    with photo_server() as server:
        url = server.url("/a", versioned(b"old", ETag='"1"'))
        fetcher.fetch(url)
        server.url("/a", versioned(b"new", ETag='"2"'))
        assert [fetcher.fetch(url), fetcher.fetch(url)] == [b"new", b"new"]
        server.url("/a", serve(b"", 404))
        with pytest.raises(PhotoGone):
            fetcher.fetch(url)


def test_only_the_url_of_the_photo_gets_a_condition(tmp_path: Path) -> None:
    """Not one that redirects to it, and not another target."""
    fetcher = fetcher_with(tmp_path)
    with photo_server() as server:
        url = server.url("/a", redirect("/b"))
        server.url("/b", versioned(b"b", ETag='"1"'))
        server.url("/c", versioned(b"c", ETag='"1"'))
        assert [fetcher.fetch(url), fetcher.fetch(url)] == [b"b", b"b"]
        server.url("/a", redirect("/c"))
        assert fetcher.fetch(url) == b"c"


def test_304_without_a_condition_is_refused(tmp_path: Path) -> None:
    """There is no photo that it could mean."""
    with photo_server() as server, pytest.raises(PhotoRefused, match="responds with status 304"):
        fetcher_with(tmp_path).fetch(server.url("/a", serve(b"", 304)))


@pytest.mark.parametrize("headers", [{}, {"ETag": '"1"', "Cache_Control": "private, no-store"}])
def test_a_photo_without_validators_or_with_no_store_is_not_kept(
    tmp_path: Path, headers: dict[str, str]
) -> None:
    """Keeping it would be of no use, or is forbidden."""
    with photo_server() as server:
        fetcher_with(tmp_path).fetch(server.url("/a", serve(b"photo", **headers)))
    assert not list(tmp_path.rglob("*"))


def test_nothing_is_kept_without_a_folder() -> None:
    """The photo is sent each time."""
    fetcher = fetcher_with(None)
    with photo_server() as server:
        url = server.url("/a", versioned(b"photo", ETag='"1"'))
        assert [fetcher.fetch(url), fetcher.fetch(url)] == [b"photo", b"photo"]


@pytest.mark.parametrize("damage", [b"", b"x", b"{}\nphoto", b"[]\n"])
def test_a_damaged_file_is_ignored(tmp_path: Path, damage: bytes) -> None:
    """Such as one that was cut off by a power failure."""
    kept = PhotoCache(tmp_path, 1000)
    kept.put("a", "a", Validators('"1"'), b"photo")
    [path] = (path for path in tmp_path.rglob("*") if path.is_file())
    path.write_bytes(path.read_bytes()[:-1] if damage == b"x" else damage)

    assert kept.get("a") is None


def test_what_was_used_least_recently_is_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the folder is larger than its limit by what is written between two looks at it."""
    monkeypatch.setattr(cache, "LARGEST", 5000)
    kept = PhotoCache(tmp_path, 20_000)
    for number in range(100):
        kept.put(f"{number}", f"{number}", Validators('"1"'), bytes(1000))
        assert kept.get("0"), number
    size = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert 10_000 < size <= 22_000
    kept.put("large", "large", Validators('"1"'), bytes(5001))
    assert kept.get("99")
    assert not kept.get("1")
    assert not kept.get("large")


def test_a_photo_is_forgotten(tmp_path: Path) -> None:
    """By the reference in its listing, whatever it redirected to."""
    kept = PhotoCache(tmp_path, 1000)
    kept.put("http://a/1", "http://b/1", Validators('"1"'), b"photo")

    assert kept.forget(["http://a/1", "http://a/2"]) == 1
    assert kept.get("http://a/1") is None


def test_a_folder_that_cannot_be_written_to_keeps_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The photo is used all the same, and the log says why it is not kept."""
    (tmp_path / "file").write_bytes(b"")
    kept = PhotoCache(tmp_path / "file", 1000)
    kept.put("a", "a", Validators('"1"'), b"photo")

    assert kept.get("a") is None
    assert "photo_not_kept" in caplog.text
