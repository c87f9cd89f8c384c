"""Blank and placeholder photos are left out, with a reason, and an operator has the last word."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import redis
from click.testing import CliRunner
from elasticsearch import Elasticsearch

from cli import main
from indexer.jobs.reembedding import refresh
from indexer.photos.marks import Mark, MarkedBy, RedisMarks, Verdict
from indexer.worker.bootstrap import build_indexer
from mappings.creation import IndexOptions
from tests.indexing import Shop, ShopFactory, at
from tests.pictures import encode, noise

SELLERS = 4


@pytest.fixture
def shop(es: Elasticsearch, index_prefix: str, tmp_path: Path) -> Shop:
    """A shop in which a photo of four sellers in two categories is a placeholder."""
    return Shop.open(es, index_prefix, tmp_path, placeholder_sellers=SELLERS)


def shared(shop: Shop, seller: int, *, leaf: str | None = None, minute: int = 0) -> dict[str, Any]:
    """The listing of a seller with a photo that all of them use."""
    path = shop.photos / "no-image.png"
    path.write_bytes(encode(noise()))
    category = ["Shop", leaf or f"Kind {seller % 3}"]
    return shop.event(
        f"m{seller}", images=[str(path)], seller_id=f"s{seller}", category=category, updated_at=at(minute)
    )


def test_a_blank_photo_is_left_out(shop: Shop) -> None:
    """Its listing is indexed without a vector, and its dead letter says why."""
    (shop.photos / "white.png").write_bytes(encode(noise().point(lambda _: 255)))
    summary = shop.index(shop.event("blank", images=[str(shop.photos / "white.png")]), shop.event("red"))

    assert (summary.without_vector, summary.indexed) == ({"photo_blank": 1}, 1)
    assert shop.documents()["blank"]["photo_problem"] == "photo_blank"
    assert shop.dead_letters()["photo_blank"].item_id == "blank"


def test_a_photo_becomes_a_placeholder_by_who_uses_it(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    """Over several chunks and within one; the log has an alarm."""
    assert shop.index(shared(shop, 0), shared(shop, 1)).indexed == 2
    shop.indexer.store.refresh()
    with caplog.at_level(logging.WARNING):
        summary = shop.index(shared(shop, 2), shared(shop, 3))
    assert summary.without_vector == {"photo_placeholder": 2}
    assert "placeholder_found" in caplog.text
    assert "4 sellers in 3 categories" in caplog.text


@pytest.mark.parametrize("each", [True, False])
def test_further_photos_are_counted_too(
    shop_of_commands: ShopFactory, es: Elasticsearch, index_prefix: str, redis_url: str, each: bool
) -> None:
    """Such as a size chart; a repair leaves the listing its own photo, but of a mean nothing is left."""
    how = {"options": IndexOptions(photos=2)} if each else {"photos_per_listing": 2}
    shop = shop_of_commands(placeholder_sellers=SELLERS, **how)
    marks = RedisMarks(redis.Redis.from_url(redis_url), index_prefix)
    indexer = build_indexer(shop.settings, es=es, encoders={shop.settings.encoder: shop.encoder}, marks=marks)
    for seller in range(SELLERS):
        listing = shared(shop, seller)
        indexer.index([listing | {"images": [shop.photo(), *listing["images"]]}])
        shop.indexer.store.refresh()

    documents = shop.documents()
    assert [len(documents[f"m{n}"].get("further_hashes", ())) for n in range(SELLERS)] == [1, 1, 1, 0]
    assert all("vector" in document for document in documents.values())
    listed = json.loads(nitamono("list", "--json"))
    assert (listed["hash"], listed["listings"]) == (next(iter(marks.all())), SELLERS - 1)
    assert nitamono("repair") == f"Removed placeholders from {SELLERS - 1} documents.\n"
    assert nitamono("repair") == "Removed placeholders from 0 documents.\n"
    left = shop.documents().values()
    assert all("further_hashes" not in document and "further_photos" not in document for document in left)
    assert sum("vector" in document for document in left) == (SELLERS if each else 1)
    unused = [(found["photo"], found["reason"]) for d in left for found in d.get("unused_photos", ())]
    assert unused == [(1, "photo_placeholder")] * (SELLERS if each else 1)
    letters = list(shop.indexer.dead_letters.search())
    assert len(letters) == (0 if each else SELLERS - 1)
    assert "replay" in nitamono("mark", listed["hash"], "fine")
    indexer.index([refresh(f"m{seller}") for seller in range(SELLERS)])
    again = shop.documents().values()
    assert all(len(document["further_hashes"]) == 1 for document in again)


def test_a_listing_that_has_a_photo_twice_is_counted_once(shop_of_commands: ShopFactory) -> None:
    """First and further on, as others have it in one of these places."""
    shop = shop_of_commands(options=IndexOptions(photos=3))
    [photo], own = shared(shop, 0)["images"], shop.photo()
    for seller, images in enumerate(([photo, own, photo], [photo], [own, photo])):
        shop.index(shared(shop, seller) | {"images": images})
    shop.indexer.store.refresh()

    listed = json.loads(nitamono("list", "--json"))
    assert (listed["listings"], listed["sellers"]) == (3, 3)


@pytest.mark.parametrize(("sellers", "leaf"), [([0] * 6, None), (range(6), "Shoes")])
def test_a_photo_of_one_seller_or_one_category_is_used(
    shop: Shop, sellers: list[int], leaf: str | None
) -> None:
    """A relisting, and a photo of the maker."""
    for number, seller in enumerate(sellers):
        event = shared(shop, seller, leaf=leaf) | {"item_id": f"m{number}"}
        assert shop.index(event).indexed == 1
        shop.indexer.store.refresh()


def test_an_operator_removes_placeholders_and_brings_photos_back(
    shop: Shop, redis_url: str, elasticsearch_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`list`, `repair`, and `mark fine`, after which the listing is indexed with its photo."""
    shop.set_environ(monkeypatch, elasticsearch_url, redis_url)
    marks = RedisMarks(redis.Redis.from_url(redis_url), shop.settings.prefix)
    indexer = build_indexer(
        shop.settings, es=shop.es, encoders={shop.settings.encoder: shop.encoder}, marks=marks
    )
    for seller in range(SELLERS):
        indexer.index([shared(shop, seller)])
        shop.indexer.store.refresh()
    [(image_hash, mark)] = marks.all().items()
    assert (mark.verdict, mark.by) == (Verdict.PLACEHOLDER, MarkedBy.WORKER)

    listed = json.loads(nitamono("list", "--json"))
    assert (listed["hash"], listed["listings"], listed["sellers"]) == (image_hash, SELLERS - 1, SELLERS - 1)
    assert "placeholder (worker)" in nitamono("list")
    assert nitamono("repair") == f"Removed placeholders from {SELLERS - 1} documents.\n"
    assert nitamono("repair") == "Removed placeholders from 0 documents.\n"
    assert all("vector" not in document for document in shop.documents().values())
    letters = list(shop.indexer.dead_letters.search())
    assert len(letters) == SELLERS

    assert "replay --reason photo_placeholder" in nitamono("mark", image_hash, "fine")
    indexer.index([letter.event for letter in letters])
    shop.indexer.store.refresh()
    assert all("vector" in document for document in shop.documents().values())
    assert shop.dead_letters() == {}
    assert nitamono("unmark", image_hash) == "Deleted the mark.\n"
    assert marks.all() == {}


def test_an_alarm_is_raised_once_an_hour(redis_url: str, index_prefix: str) -> None:
    """By whichever worker sees the photo first."""
    marks = RedisMarks(redis.Redis.from_url(redis_url), index_prefix)

    assert [marks.is_first_alarm("a"), marks.is_first_alarm("a"), marks.is_first_alarm("b")] == [
        True,
        False,
        True,
    ]
    marks.replace("a", Mark.now(Verdict.FINE, MarkedBy.OPERATOR))
    marks.add("a", Mark.now(Verdict.PLACEHOLDER, MarkedBy.WORKER))
    assert marks.read(["a", "b"])["a"].verdict is Verdict.FINE


def nitamono(*arguments: str) -> str:
    """The output of a command that succeeds."""
    result = CliRunner().invoke(main, ["indexer", "placeholders", *arguments])
    assert result.exit_code == 0, result.output
    return result.output
