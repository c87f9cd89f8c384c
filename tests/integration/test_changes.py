"""Changes of single fields: price, status or any other, in the order of their times."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from elasticsearch import Elasticsearch

from indexer.summary import IndexingSummary
from query.search.errors import UnknownItem
from query.search.reader import IndexReader
from tests.indexing import GREEN, RED, Shop, at, unit


@pytest.fixture
def shop(es: Elasticsearch, index_prefix: str, tmp_path: Path) -> Shop:
    """An empty index."""
    return Shop.open(es, index_prefix, tmp_path)


def update(minute: float, item_id: str = "m1", **fields: Any) -> dict[str, Any]:
    """Return an event that changes these fields."""
    return {"op": "update", "item_id": item_id, "updated_at": at(minute)} | fields


def removal(minute: float, item_id: str = "m1") -> dict[str, Any]:
    """Return an event that removes the item."""
    return {"op": "remove", "item_id": item_id, "updated_at": at(minute)}


def test_a_price_changes_without_a_photo_being_read(shop: Shop) -> None:
    """All other fields are as before, including the vector."""
    shop.index(shop.event(updated_at=at(1)))
    before = shop.documents()["m1"]
    Path(before["images"][0]).unlink()

    assert shop.index(update(2, price=50)) == IndexingSummary(indexed=1)
    found = shop.documents()["m1"]
    assert (found["price"], found["offer"], found["title"]) == (50, "on_sale|JPY|17", before["title"])
    assert found["vector"] == before["vector"]
    assert shop.encoder.batches == [1]
    assert shop.index(update(2, price=50)) == IndexingSummary(unchanged=1)


def test_a_late_change_of_another_field_counts(shop: Shop) -> None:
    """Each field has its own newest change; that of the same field is outdated."""
    shop.index(shop.event(updated_at=at(1)))
    shop.index(update(4, title="New"))

    assert shop.index(update(3, price=50)).indexed == 1
    assert shop.index(update(3, title="Old")).outdated == 1
    assert (shop.documents()["m1"]["title"], shop.documents()["m1"]["price"]) == ("New", 50)
    assert shop.index(shop.event(updated_at=at(2), title="Older", attributes={})).indexed == 1
    found = shop.documents()["m1"]
    assert (found["title"], found["price"], found["attributes"]) == ("New", 50, {})


def test_other_photos_get_another_vector(shop: Shop) -> None:
    """Photos that cannot be read leave none, until others are sent; the dead letter is gone then."""
    shop.index(shop.event(updated_at=at(1)))
    missing = str(shop.photos / "missing.png")

    assert shop.index(update(2, images=[missing])).without_vector == {"photo_not_found": 1}
    assert shop.index(update(3, price=50)) == IndexingSummary(without_vector={"photo_not_found": 1})
    assert shop.documents()["m1"]["photo_problem"] == "photo_not_found"
    assert set(shop.dead_letters()) == {"photo_not_found"}
    assert shop.index(update(4, images=[shop.photo(GREEN)])).indexed == 1
    assert shop.documents()["m1"]["vector"] == pytest.approx(unit(GREEN), abs=0.01)
    assert shop.dead_letters() == {}


def test_a_change_of_a_listing_without_a_vector_is_counted_as_such(shop: Shop) -> None:
    """The dead letter stays that of the photo, so that a replay tries it again."""
    missing = str(shop.photos / "missing.png")
    bad = shop.event(updated_at=at(1), images=[missing])
    none = shop.event("m2", updated_at=at(1), images=[])
    shop.index(bad, none)

    changed = shop.index(update(2, price=50), update(2, "m2", price=60))
    assert changed == IndexingSummary(without_vector={"photo_not_found": 1, "no_photo": 1})
    assert changed.examples["photo_not_found"] == (("m1", "the photo could not be used before"),)
    assert shop.index(update(3, images=[missing])).without_vector == {"photo_not_found": 1}
    letters = shop.dead_letters()
    assert (letters["photo_not_found"].event, letters["no_photo"].event) == (bad, none)
    assert [shop.documents()[item]["price"] for item in ("m1", "m2")] == [50, 60]


def test_a_change_of_an_unknown_item_is_kept_until_its_listing_comes(shop: Shop) -> None:
    """It has a dead letter meanwhile; requests find no such item."""
    reader = IndexReader(shop.es, shop.settings.prefix, 5)

    assert shop.index(update(2, price=50), update(3, title="New")).rejected == {"item_unknown": 2}
    with pytest.raises(UnknownItem):
        reader.find("m1", reader.deadline())
    assert set(shop.dead_letters()) == {"item_unknown"}
    assert shop.index(shop.event(updated_at=at(1))) == IndexingSummary(indexed=1)
    found = shop.documents()["m1"]
    assert (found["title"], found["price"]) == ("New", 50)
    assert found["vector"] == pytest.approx(unit(RED), abs=0.01)
    assert shop.dead_letters() == {}


def test_a_change_of_a_removed_item_is_kept_until_it_is_restored(shop: Shop) -> None:
    """A complete event that is older than the change restores it."""
    shop.index(shop.event(updated_at=at(1)))
    assert shop.index(removal(2)) == IndexingSummary(indexed=1)

    assert shop.index(update(4, status="on_sale", price=50)).rejected == {"item_removed": 1}
    assert shop.documents()["m1"]["status"] == "removed"
    assert shop.index(shop.event(updated_at=at(3), status="reserved")).indexed == 1
    found = shop.documents()["m1"]
    assert (found["status"], found["price"]) == ("on_sale", 50)


def test_an_item_can_be_removed_before_its_listing_comes(shop: Shop) -> None:
    """The listing is older and has no effect."""
    assert shop.index(removal(2)) == IndexingSummary(indexed=1)
    assert shop.index(shop.event(updated_at=at(1))).outdated == 1
    assert shop.documents()["m1"]["status"] == "removed"
    assert "title" not in shop.documents()["m1"]


def test_the_changes_of_two_workers_at_the_same_moment_both_count(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one writes only over what it has read; its photo is encoded once."""
    shop.index(shop.event(updated_at=at(1)))
    read = type(shop.indexer.store).read

    def read_then_lose(store: object, index: str, ids: list[str]) -> object:
        stored = read(shop.indexer.store, index, ids)
        monkeypatch.undo()
        shop.index(update(3, title="New"))
        return stored

    monkeypatch.setattr(type(shop.indexer.store), "read", read_then_lose)
    assert shop.index(update(2, price=50, images=[shop.photo(GREEN)])) == IndexingSummary(indexed=1)
    found = shop.documents()["m1"]
    assert (found["title"], found["price"]) == ("New", 50)
    assert shop.encoder.batches == [1, 1]


def test_an_invalid_change_is_rejected_but_its_status_counts(shop: Shop) -> None:
    """As with a complete event."""
    shop.index(shop.event(updated_at=at(1)))

    assert shop.index(update(2, title=None, status="sold_out")).rejected == {"title_missing": 1}
    assert (shop.documents()["m1"]["status"], shop.documents()["m1"]["price"]) == ("sold_out", 1290)


def test_an_item_that_always_changes_waits(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """After some rounds; the events of other items are not held up."""
    shop.index(shop.event(updated_at=at(1)))
    read = type(shop.indexer.store).read
    minutes = iter(range(10, 100))

    def read_and_lose(store: object, index: str, ids: list[str]) -> object:
        stored = read(shop.indexer.store, index, ids)
        if "m1" in ids:
            shop.es.update(index=index, id="m1", doc={"indexed_at": at(next(minutes))})
        return stored

    monkeypatch.setattr(type(shop.indexer.store), "read", read_and_lose)
    chunk = shop.chunk([update(2, price=50), shop.event("m2")])
    assert {failure.reason for failure in chunk.waiting.values()} == {"concurrent_updates"}
    assert (list(chunk.waiting), list(chunk.outcomes)) == ([0], [1])
