"""Hostile photos, URLs and rows are refused or used, each for a reason that is expected."""

from __future__ import annotations

import hashlib
import re
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from indexer.errors import PhotoRefused
from indexer.photos.fetch import PhotoFetcher
from indexer.settings import FetchSettings
from indexer.worker.pipeline.chunk import parse
from mappings.failures import Failure
from mappings.image_roots import ImageRoots
from mappings.remedies import remedy
from ml.inference.preprocess import UnusablePhoto, decode_photo
from tests.hostile.photo import USED, HostilePhoto
from tests.hostile.photos import hostile_photos
from tests.hostile.rows import odd_rows
from tests.hostile.urls import HOSTS, SENT, hostile_urls, names_that_change
from tests.photo_server import Answer, photo_server

SETTINGS = FetchSettings(idle_s=0.5, deadline_s=1, max_bytes=100_000)
QUIET = pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning", "ignore::UserWarning")


def outcome_of(photo: HostilePhoto) -> str:
    """The reason for which a photo is refused, or that it is used."""
    try:
        decode_photo(photo.make(), 64)
    except UnusablePhoto as error:
        return error.reason
    return USED


@QUIET
@pytest.mark.parametrize("photo", hostile_photos()[4::9], ids=lambda photo: photo.name)
def test_a_hostile_photo_is_refused_or_used(photo: HostilePhoto) -> None:
    """Nothing else is raised, and each kind has its reason."""
    assert outcome_of(photo) in photo.expected


@QUIET
@pytest.mark.soak
def test_500_hostile_photos_are_refused_or_used() -> None:
    """All of them, and they are different files."""
    photos = hostile_photos()
    outcomes = [(photo, outcome_of(photo)) for photo in photos]
    assert [(photo.name, outcome) for photo, outcome in outcomes if outcome not in photo.expected] == []
    assert len({hashlib.sha256(photo.make()).digest() for photo in photos}) >= 500


@pytest.mark.parametrize("reference", hostile_urls(), ids=ascii)
def test_a_hostile_url_is_refused_before_anything_is_sent(
    reference: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever form its address has; a name that does not resolve is retried."""

    def connect(address: object, *_: object, **__: object) -> socket.socket:
        raise AssertionError(f"connected to {address}")

    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(Failure) as caught:
        PhotoFetcher(SETTINGS, ImageRoots((tmp_path,))).fetch(reference)
    assert caught.value.reason in hostile_urls()[reference]


@pytest.mark.parametrize(("answer", "expected"), HOSTS.values(), ids=list(HOSTS))
def test_a_hostile_host_has_a_reason(
    answer: Answer, expected: tuple[str, ...], request: pytest.FixtureRequest
) -> None:
    """And its photo ends within its deadline."""
    with photo_server() as server:
        server.stopping.clear()
        url = server.url("/" + request.node.callspec.id.replace(" ", "%20"), answer)
        fetcher = PhotoFetcher(replace(SETTINGS, allowed_hosts=frozenset({"127.0.0.1"})), ImageRoots())
        try:
            outcome = SENT if len(fetcher.fetch(url)) <= SETTINGS.max_bytes else "more than the limit"
        except Failure as failure:
            outcome = failure.reason
        server.stopping.set()
    assert outcome in expected


def test_a_name_that_changes_its_address_gains_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The address that was checked is the one that is connected to; the next request checks the next one."""
    connected: list[object] = []

    def connect(address: object, *_: object, **__: object) -> socket.socket:
        connected.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "getaddrinfo", names_that_change("8.8.8.8", "127.0.0.1"))
    monkeypatch.setattr(socket, "create_connection", connect)
    fetcher = PhotoFetcher(SETTINGS, ImageRoots())
    with pytest.raises(Failure, match="photo_unavailable"):
        fetcher.fetch("http://rebinding.example/a.jpg")
    with pytest.raises(PhotoRefused, match="photo_private_address"):
        fetcher.fetch("http://rebinding.example/a.jpg")
    assert connected == [("8.8.8.8", 80)]


def test_an_odd_row_is_accepted_or_rejected_with_its_reason() -> None:
    """One chunk of all of them: each has an outcome, a dead letter if it is rejected, and a remedy."""
    rows = odd_rows()
    assert len(rows) >= 200
    chunk = parse(list(rows.values()), attempt=1)

    accepted = {entry.position for entries in chunk.entries.values() for entry in entries}
    for position, name in enumerate(rows):
        outcome = chunk.outcomes.get(position)
        assert outcome or position in accepted, name
        if outcome and outcome.reason:
            assert re.fullmatch("[a-z_]+", outcome.reason), name
            assert remedy(outcome.reason), name
            assert position in chunk.dead_letters, name
