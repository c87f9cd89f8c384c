"""Every kind of bad input has its reason code and its dead letter, and the rest of its batch is indexed."""

from __future__ import annotations

import io
import math
import struct
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from elasticsearch import Elasticsearch
from PIL import Image

from indexer.settings import FetchSettings
from indexer.summary import IndexingSummary
from ml.inference.preprocess import MAX_BYTES
from tests import photo_server
from tests.factories import make_event
from tests.indexing import BLUE, RED, Shop, at, photo_bytes, remaining, unit
from tests.photo_server import PhotoServer, redirect, serve
from tests.pictures import encode, png_chunk, png_with


@pytest.fixture
def server() -> Iterator[PhotoServer]:
    """Run a photo server on this machine."""
    with photo_server.photo_server() as running:
        yield running


@pytest.fixture
def shop(es: Elasticsearch, index_prefix: str, tmp_path: Path) -> Shop:
    """A shop that fetches only from the public network, with short timeouts."""
    return Shop.open(es, index_prefix, tmp_path, fetch=FetchSettings(deadline_s=1.0, idle_s=0.4))


@pytest.fixture
def local_shop(es: Elasticsearch, index_prefix: str, tmp_path: Path) -> Shop:
    """A shop that may fetch from 127.0.0.1 by name."""
    fetch = FetchSettings(
        deadline_s=4.0, idle_s=2.0, max_bytes=100_000, allowed_hosts=frozenset({"127.0.0.1"})
    )
    return Shop.open(es, index_prefix, tmp_path, fetch=fetch)


def check_rejected(shop: Shop, bad: Mapping[str, object], reasons: Mapping[str, str]) -> None:
    """Each bad event is rejected for its reason, with a dead letter; the others are indexed."""
    check_summary(shop, bad, reasons, rejected=Counter(reasons.values()))
    assert set(shop.documents()).isdisjoint(filter(None, map(item_of, bad.values())))


def check_without_vector(shop: Shop, bad: Mapping[str, object], reasons: Mapping[str, str]) -> None:
    """Each bad event is indexed without a vector for its reason, with a dead letter; the others with one."""
    check_summary(shop, bad, reasons, without_vector=Counter(reasons.values()))
    documents = shop.documents()
    assert all("vector" not in documents[str(item_of(event))] for event in bad.values())


def check_summary(
    shop: Shop, bad: Mapping[str, object], reasons: Mapping[str, str], **counts: Mapping[str, int]
) -> None:
    """The bad events have these counts in the summary and a dead letter each; the others are indexed."""
    summary = shop.index(shop.event("before"), *bad.values(), shop.event("after"))

    expected = {"indexed": 2, "without_vector": {}, "unchanged": 0, "outdated": 0, "rejected": {}} | counts
    assert summary.to_json() | {"examples": {}} == {"total": len(bad) + 2, "examples": {}} | expected
    letters = list(shop.indexer.dead_letters.search())
    assert {letter.item_id: letter.reason for letter in letters} == {
        item_of(bad[kind]): reason for kind, reason in reasons.items()
    }
    assert all(letter.event or letter.raw for letter in letters)
    documents = shop.documents()
    assert all("vector" in documents[item_id] for item_id in ("before", "after"))


def item_of(event: object) -> object:
    """Return the item of an event as its dead letter shows it."""
    item_id = event.get("item_id") if isinstance(event, dict) else None
    return item_id.encode(errors="backslashreplace").decode() if isinstance(item_id, str) else item_id


def named(kind: str) -> str:
    """Return an item id that names the kind of input."""
    return kind.replace(" ", "-")


def without(shop: Shop, field: str) -> dict[str, Any]:
    """Return an event without a field."""
    event = shop.event()
    del event[field]
    return event


def tomorrow() -> str:
    return (datetime.now(UTC) + timedelta(days=1)).isoformat()


BAD_EVENTS: dict[str, Callable[[Shop], dict[str, Any]]] = {
    "title_missing": lambda shop: without(shop, "title"),
    "price_wrong_type": lambda shop: shop.event(price="cheap"),
    "images_wrong_type": lambda shop: shop.event(images={"main": "a.jpg"}),
    "price_not_positive": lambda shop: shop.event(price=-1),
    "price_not_finite": lambda shop: shop.event(price=math.nan),
    "price_too_large": lambda shop: shop.event(price=1e300),
    "status_unknown": lambda shop: shop.event(status="lost"),
    "updated_at_in_future": lambda shop: shop.event(updated_at=tomorrow()),
    "updated_at_malformed": lambda shop: shop.event(updated_at="yesterday"),
    "created_at_no_timezone": lambda shop: shop.event(created_at="2026-01-01T00:00:00"),
    "title_too_long": lambda shop: shop.event(title="x" * 10_000),
    "title_malformed": lambda shop: shop.event(title="half a pair: \ud83d"),
    "category_too_many": lambda shop: shop.event(category=list("abcdef")),
}


def test_invalid_events_are_rejected(shop: Shop) -> None:
    """No document is written for them."""
    bad = {reason: make(shop) | {"item_id": reason} for reason, make in BAD_EVENTS.items()}

    check_rejected(shop, bad, {reason: reason for reason in bad})
    assert set(shop.documents()) == {"before", "after"}


@pytest.mark.parametrize(
    ("reason", "event"),
    [
        ("event_wrong_type", ["no", "object"]),
        ("event_wrong_type", "text"),
        ("item_id_missing", {"title": "Nobody's"}),
        ("item_id_malformed", make_event(item_id="..")),
        ("item_id_malformed", make_event(item_id="\ud800")),
        ("item_id_malformed", make_event(item_id="\ud800", title="\udfff")),
        ("item_id_missing", {"\ud800": {"\udfff": ["\ud800"]}, "\x00": "\x00"}),
    ],
)
def test_an_event_without_an_item_is_rejected(shop: Shop, reason: str, event: object) -> None:
    """The id of its dead letter depends on its content."""
    check_rejected(shop, {"bad": event}, {"bad": reason})
    assert shop.index(event).rejected == {reason: 1}
    assert len(list(shop.indexer.dead_letters.search())) == 1


def nested(depth: int) -> object:
    """Return nested lists."""
    value: object = "x"
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("reason", "changes"),
    [
        ("price_too_large", {"price": 10**30}),
        ("event_unreadable", {"title": nested(100_000)}),
    ],
)
def test_only_the_event_that_cannot_be_read_is_rejected(
    shop: Shop, reason: str, changes: dict[str, object]
) -> None:
    """Numbers beyond 64 bits, and deeply nested JSON."""
    check_rejected(shop, {"bad": shop.event("bad") | changes}, {"bad": reason})


def png_of_size(width: int, height: int) -> bytes:
    """Return a tiny PNG whose header declares width × height pixels: a decompression bomb."""

    def part(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + part(b"IHDR", header)
        + part(b"IDAT", zlib.compress(bytes(1_000)))
        + part(b"IEND", b"")
    )


BAD_PHOTOS = {
    "photo_empty": b"",
    "photo_not_an_image": b"<!doctype html><title>Not found</title>",
    "photo_truncated": photo_bytes(side=400, format="JPEG")[:600],
    "photo_too_small": photo_bytes(side=1),
    "photo_too_many_pixels": png_of_size(30_000, 30_000),
    "photo_unsupported": photo_bytes(format="TIFF"),
    "photo_too_large": bytes(MAX_BYTES + 1),
}


def test_listings_with_unusable_photos_are_written_without_a_vector(shop: Shop) -> None:
    """Their price and status are current, and their pages show items of the same category."""
    bad = {}
    for reason, data in BAD_PHOTOS.items():
        photo = shop.photos / f"{reason}.jpg"
        photo.write_bytes(data)
        bad[reason] = shop.event(reason, images=[str(photo)], price=77)

    check_without_vector(shop, bad, {reason: reason for reason in bad})
    documents = shop.documents()
    for reason in bad:
        assert (documents[reason]["photo_problem"], documents[reason]["price"]) == (reason, 77)
        assert "vector" not in documents[reason]


def odd_photos() -> dict[str, bytes]:
    """Return photos of unusual but allowed kinds, all of them red."""
    red = Image.new("RGB", (40, 60), RED)
    kinds = {"animated.gif": io.BytesIO(), "cmyk.jpg": io.BytesIO(), "rotated.jpg": io.BytesIO()}
    later = Image.new("RGB", (40, 60), BLUE)
    red.save(kinds["animated.gif"], "GIF", save_all=True, append_images=[later])
    red.convert("CMYK").save(kinds["cmyk.jpg"], "JPEG", quality=95)
    exif = Image.Exif()
    exif[0x0112] = 6
    red.save(kinds["rotated.jpg"], "JPEG", exif=exif, quality=95)
    grey = io.BytesIO()
    steps = np.linspace(20_000, 60_000, 60).astype(np.uint16)
    Image.fromarray(np.tile(steps, (40, 1))).save(grey, "PNG")
    more = {
        "grey16.png": grey.getvalue(),
        "phone.heic": encode(red, "HEIC", quality=95),
        "web.avif": encode(red, "AVIF", quality=95),
        "no-end.jpg": encode(red, "JPEG", quality=95)[:-2],
        "bad-profile.jpg": encode(red, "JPEG", quality=95, icc_profile=b"no profile"),
        "bad-text.png": png_with(encode(red), png_chunk(b"tEXt", b"Comment\0x", crc=1)),
    }
    return {name: buffer.getvalue() for name, buffer in kinds.items()} | more


def test_unusual_photos_are_indexed(shop: Shop) -> None:
    """CMYK, 16-bit, animated and rotated photos, those of phones, and slightly damaged ones. Ignored parts
    are counted."""
    events = []
    for name, data in odd_photos().items():
        (shop.photos / name).write_bytes(data)
        events.append(shop.event(name, images=[str(shop.photos / name)]))

    chunk = shop.chunk(events)
    assert (IndexingSummary.of(chunk.outcomes_in_order()).indexed, shop.dead_letters()) == (len(events), {})
    assert chunk.stage_times.counts == {"profile_ignored": 1}
    documents = shop.documents()
    for name in odd_photos().keys() - {"grey16.png"}:
        assert documents[name]["vector"] == pytest.approx(unit(RED), abs=0.08)
    assert documents["grey16.png"]["vector"] == pytest.approx(unit((1, 1, 1)), abs=0.01)


BAD_PATHS: dict[str, tuple[str, Callable[[Path], str]]] = {
    "out of the root": ("photo_outside_roots", lambda photos: f"{photos}/../../etc/passwd"),
    "absolute": ("photo_outside_roots", lambda _: "/etc/passwd"),
    "file URL": ("photo_scheme_not_allowed", lambda _: "file:///etc/passwd"),
    "other scheme": ("photo_scheme_not_allowed", lambda _: "gopher://127.0.0.1/"),
    "a folder": ("photo_not_a_file", str),
    "nothing there": ("photo_not_found", lambda photos: f"{photos}/none.jpg"),
    "a link out": ("photo_outside_roots", lambda photos: link(photos / "out.jpg", Path("/etc/passwd"))),
    "a circle": ("photo_unreadable", lambda photos: link(photos / "circle.jpg", photos / "circle.jpg")),
    "a name too long": ("photo_unreadable", lambda photos: f"{photos}/{'x' * 300}.jpg"),
}


def link(path: Path, target: Path) -> str:
    """Return the path of a new symbolic link."""
    path.symlink_to(target)
    return str(path)


def test_paths_outside_the_allowed_folders_are_not_read(shop: Shop) -> None:
    """Only regular files below an allowed folder are photos."""
    bad = {
        kind: shop.event(named(kind), images=[reference(shop.photos)])
        for kind, (_, reference) in BAD_PATHS.items()
    }
    check_without_vector(shop, bad, {kind: reason for kind, (reason, _) in BAD_PATHS.items()})


def test_a_listing_without_photos_is_written_without_a_vector(shop: Shop) -> None:
    """It can be found by its category, and its sender is informed."""
    check_without_vector(shop, {"bad": shop.event("bad", images=[])}, {"bad": "no_photo"})
    assert shop.documents()["bad"]["photo_problem"] == "no_photo"


PRIVATE = (
    "http://127.0.0.1/a.jpg",
    "http://localhost/a.jpg",
    "http://10.0.0.1/a.jpg",
    "http://192.168.1.1/a.jpg",
    "http://169.254.169.254/latest/meta-data/",
    "http://100.64.0.1/a.jpg",
    "http://0.0.0.0/a.jpg",
    "http://2130706433/a.jpg",
    "http://[::1]/a.jpg",
    "http://[::ffff:127.0.0.1]/a.jpg",
    "http://[64:ff9b::7f00:1]/a.jpg",
    "http://[fe80::1]/a.jpg",
    "http://224.0.0.1/a.jpg",
)


def test_no_private_address_is_connected_to(shop: Shop) -> None:
    """Loopback, private, link-local, metadata, shared, multicast, mapped and NAT64 ones."""
    events = [shop.event(f"bad{n}", images=[url]) for n, url in enumerate(PRIVATE)]

    summary = shop.index(*events, shop.event())
    assert summary.without_vector == {"photo_private_address": len(PRIVATE)}
    assert summary.indexed == 1


BAD_URLS: dict[str, tuple[str, str]] = {
    "a port": ("photo_port_not_allowed", "http://8.8.8.8:6379/"),
    "a user": ("photo_url_malformed", "http://user:secret@example.com/a.jpg"),
    "no host": ("photo_url_malformed", "http:///a.jpg"),
    "a port that is none": ("photo_url_malformed", "http://example.com:http/a.jpg"),
    "a bracket left open": ("photo_url_malformed", "http://[::1/a.jpg"),
    "a host that is none": ("photo_url_malformed", f"http://{'a' * 70}.com/a.jpg"),
}


def test_urls_that_are_not_allowed_are_refused(shop: Shop) -> None:
    """Before anything is sent."""
    bad = {kind: shop.event(named(kind), images=[url]) for kind, (_, url) in BAD_URLS.items()}
    check_without_vector(shop, bad, {kind: reason for kind, (reason, _) in BAD_URLS.items()})


BAD_SERVERS: dict[str, tuple[str, photo_server.Answer]] = {
    "headers without end": ("photo_timeout", photo_server.drip_headers),
    "a byte now and then": ("photo_timeout", photo_server.drip_body),
    "a body without end": ("photo_too_large", photo_server.endless_body),
    "a large body announced": ("photo_too_large", serve(b"", Content_Length="100000000")),
    "a circle of redirects": ("photo_too_many_redirects", redirect("/a-circle-of-redirects.jpg")),
    "a redirect to a file": ("photo_scheme_not_allowed", redirect("file:///etc/passwd")),
    "a redirect inside": ("photo_private_address", redirect("http://169.254.169.254/latest/")),
    "gone": ("photo_gone", serve(b"", 410)),
    "not found": ("photo_gone", serve(b"", 404)),
    "forbidden": ("photo_refused_by_server", serve(b"", 403)),
    "a page named .jpg": ("photo_not_an_image", serve(b"<html>hello", Content_Type="image/jpeg")),
}


def test_the_failure_of_a_host_has_a_reason(local_shop: Shop, server: PhotoServer) -> None:
    """The other events of the chunk are indexed."""
    bad = {
        kind: local_shop.event(named(kind), images=[server.url(f"/{named(kind)}.jpg", answer)])
        for kind, (_, answer) in BAD_SERVERS.items()
    }
    check_without_vector(local_shop, bad, {kind: reason for kind, (reason, _) in BAD_SERVERS.items()})


@pytest.mark.parametrize(
    "answer",
    [photo_server.silence, photo_server.broken_off, serve(b"", 503), serve(b"", 429)],
    ids=["silent", "broken off", "503", "429"],
)
def test_an_event_waits_for_a_host_that_is_temporarily_unavailable(
    local_shop: Shop, server: PhotoServer, answer: photo_server.Answer
) -> None:
    """The others are indexed; the last attempt writes the listing without a vector and reports the photo."""
    bad = local_shop.event("bad", images=[server.url("/bad.jpg", answer)])

    chunk = local_shop.chunk([local_shop.event("good"), bad])
    assert remaining(chunk) == [bad]
    assert set(local_shop.documents()) == {"good"}

    last = local_shop.index(bad, final=True)
    assert last.without_vector == {"photo_unavailable": 1}
    assert local_shop.documents()["bad"]["photo_problem"] == "photo_unavailable"


def test_a_photo_on_a_server_is_fetched_over_a_redirect(local_shop: Shop, server: PhotoServer) -> None:
    """The valid case, with a photo whose content type is text."""
    server.url("/photo", serve(photo_bytes(BLUE), Content_Type="text/plain"))
    event = local_shop.event(images=[server.url("/moved", redirect("/photo"))])

    assert local_shop.index(event).indexed == 1
    assert local_shop.documents()["m1"]["vector"] == pytest.approx(unit(BLUE), abs=0.01)


def test_a_host_gets_a_limited_number_of_requests_at_once(local_shop: Shop, server: PhotoServer) -> None:
    """Eight, however many listings have photos there."""
    answer = photo_server.after(0.05, serve(photo_bytes()))
    events = [local_shop.event(f"m{n}", images=[server.url(f"/{n}.png", answer)]) for n in range(30)]

    assert local_shop.index(*events).indexed == 30
    assert 2 <= server.most_together <= local_shop.settings.fetch.per_host


def test_photos_that_exceed_the_time_of_a_chunk_are_retried(
    es: Elasticsearch, index_prefix: str, tmp_path: Path, server: PhotoServer
) -> None:
    """A chunk ends within its time; photos fetched by then are indexed."""
    fetch = FetchSettings(threads=1, allowed_hosts=frozenset({"127.0.0.1"}))
    shop = Shop.open(es, index_prefix, tmp_path, fetch=fetch, visibility_timeout_s=3.0)
    answer = photo_server.after(0.4, serve(photo_bytes()))
    events = [shop.event(f"m{n}", images=[server.url(f"/{n}.png", answer)]) for n in range(10)]

    chunk = shop.chunk(events)
    assert 0 < len(chunk.outcomes_in_order()) < 10
    assert len(chunk.outcomes_in_order()) + len(remaining(chunk)) == 10


def test_a_photo_that_exists_now_removes_the_dead_letter(shop: Shop) -> None:
    """If the same event is sent again, the photo is tried again."""
    missing = shop.photos / "late.png"
    event = shop.event(images=[str(missing)])
    shop.index(event)
    missing.write_bytes(photo_bytes())

    assert shop.index(event).indexed == 1
    assert "photo_problem" not in shop.documents()["m1"]
    assert shop.dead_letters() == {}


def test_the_dead_letter_of_an_item_is_that_of_its_newest_event(shop: Shop) -> None:
    """A late older event does not replace it."""
    shop.index(shop.event(images=[], updated_at=at(2)))
    shop.index(shop.event(images=["/etc/passwd"], updated_at=at(1)))

    assert set(shop.dead_letters()) == {"no_photo"}


@pytest.mark.parametrize("kind", ["a listing", "no listing"])
def test_an_event_that_fails_after_a_drop_has_a_dead_letter_again(shop: Shop, kind: str) -> None:
    """Immediately, although Elasticsearch remembers a deletion for a minute."""
    event = shop.event(images=[]) if kind == "a listing" else shop.event(price=-1)
    letters = shop.indexer.dead_letters
    for _ in range(3):
        shop.index(event)
        (letter,) = letters.search()
        letters.delete([letter])
        assert list(letters.search()) == []


def test_a_drop_keeps_a_dead_letter_written_meanwhile(shop: Shop) -> None:
    """It was not among those that were read."""
    letters = shop.indexer.dead_letters
    shop.index(shop.event(images=[], updated_at=at(1)), shop.event("m2", status="lost"))
    read = list(letters.search())
    shop.index(shop.event(images=["/etc/passwd"], updated_at=at(2)), shop.event("m2", status="lost"))

    letters.delete(read)
    assert set(shop.dead_letters()) == {"photo_outside_roots", "status_unknown"}


def test_events_wait_while_an_index_is_blocked(shop: Shop) -> None:
    """There is no dead letter, and they are indexed when the write block is removed."""
    events = [shop.event("m1"), shop.event("m2")]
    shop.es.indices.put_settings(index=shop.index_name, settings={"index.blocks.write": True})
    chunk = shop.chunk(events)
    shop.es.indices.put_settings(index=shop.index_name, settings={"index.blocks.write": False})

    assert (chunk.outcomes_in_order(), remaining(chunk)) == ([], events)
    assert shop.dead_letters() == {}
    assert shop.index(*events).indexed == 2
