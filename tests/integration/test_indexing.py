"""Events become documents: in order, once, and without repeated work."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from elasticsearch import Elasticsearch

from indexer.jobs.sweep import sweep
from indexer.summary import IndexingSummary
from mappings.aliases import swap_aliases
from mappings.creation import create_index
from tests.indexing import BLUE, GREEN, RED, Shop, at, unit

LATER = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture
def shop(es: Elasticsearch, index_prefix: str, tmp_path: Path) -> Shop:
    """An empty index, and an indexer for it."""
    return Shop.open(es, index_prefix, tmp_path)


def test_a_listing_becomes_a_document_with_the_vector_of_its_first_photo(shop: Shop) -> None:
    """Everything a query needs is in the document."""
    summary = shop.index(shop.event(images=[shop.photo(BLUE), shop.photo(RED)]))

    assert summary == IndexingSummary(indexed=1)
    document = shop.documents()["m1"]
    assert document["vector"] == pytest.approx(unit(BLUE), abs=0.01)
    assert document["encoder_id"] == shop.encoder.encoder_id
    assert document["category_paths"][-1] == "Apparel > Bottomwear > Skirts"
    assert len(document["image_hash"]) == 128
    assert "photo_problem" not in document


def test_the_same_event_again_changes_nothing(shop: Shop) -> None:
    """A redelivery costs one read."""
    shop.index(shop.event())
    before = shop.documents()

    assert shop.index(shop.event(), shop.event()).unchanged == 2
    assert shop.documents() == before
    assert shop.encoder.batches == [1]


def test_a_change_of_price_or_status_does_not_encode_again(shop: Shop) -> None:
    """The stored vector is reused while the photos are unchanged."""
    shop.index(shop.event(updated_at=at(1)))
    vector = shop.documents()["m1"]["vector"]

    shop.index(shop.event(updated_at=at(2), price=99))
    shop.index(shop.event(updated_at=at(3), price=99, status="sold_out"))

    document = shop.documents()["m1"]
    assert (document["price"], document["status"], document["vector"]) == (99, "sold_out", vector)
    assert shop.encoder.batches == [1]


def test_another_photo_is_encoded(shop: Shop) -> None:
    """A changed photo has a new vector."""
    shop.index(shop.event(updated_at=at(1), images=[shop.photo(RED)]))
    shop.index(shop.event(updated_at=at(2), images=[shop.photo(GREEN)]))

    assert shop.documents()["m1"]["vector"] == pytest.approx(unit(GREEN), abs=0.01)


def test_an_outdated_event_changes_nothing(shop: Shop) -> None:
    """Neither in a later chunk nor after the newer one in the same chunk."""
    summary = shop.index(shop.event(updated_at=at(2), price=2), shop.event(updated_at=at(1), price=1))
    late = shop.index(shop.event(updated_at=at(0), price=3))

    assert (summary.indexed, summary.outdated, late.outdated) == (1, 1, 1)
    assert shop.documents()["m1"]["price"] == 2


def test_a_newer_document_written_in_between_is_not_overwritten(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If another worker writes between this one's read and write, the version decides."""
    read = type(shop.indexer.store).read
    other = shop.event(updated_at=at(2), price=2)

    def read_then_lose(store: object, index: str, ids: list[str]) -> object:
        stored = read(shop.indexer.store, index, ids)
        monkeypatch.undo()
        shop.index(other)
        return stored

    monkeypatch.setattr(type(shop.indexer.store), "read", read_then_lose)
    assert shop.index(shop.event(updated_at=at(1), price=1)).outdated == 1
    assert shop.documents()["m1"]["price"] == 2


def test_late_events_do_not_restore_a_removed_listing(shop: Shop) -> None:
    """Its tombstone has no title, photo or vector; an event from before the removal is outdated."""
    shop.index(shop.event(updated_at=at(1)))
    shop.index(shop.event(updated_at=at(3), status="removed"))
    late = shop.index(shop.event(updated_at=at(2)))

    document = shop.documents()["m1"]
    assert late.outdated == 1
    assert document["status"] == "removed"
    assert document["images"] == []
    assert {"title", "vector", "image_hash", "image_fingerprint"}.isdisjoint(document)


def test_a_removed_listing_can_be_relisted(shop: Shop) -> None:
    """Its photo is encoded again."""
    shop.index(shop.event(updated_at=at(1), status="removed"))
    shop.index(shop.event(updated_at=at(2)))

    assert shop.documents()["m1"]["vector"] == pytest.approx(unit(RED), abs=0.01)


def test_the_photos_of_a_chunk_are_encoded_together(shop: Shop) -> None:
    """One batch for a chunk, equal photos once."""
    events = [shop.event(f"m{number}") for number in range(20)]
    twin = shop.event("twin", images=events[0]["images"])

    assert shop.index(*events, twin).indexed == 21
    assert shop.encoder.batches == [20]


def test_every_index_behind_the_write_alias_is_written(shop: Shop) -> None:
    """A second index of the same encoder gets the vector of the first, if that has one."""
    shop.index(shop.event())
    second = create_index(shop.es, shop.settings.prefix, shop.identity, now=LATER)
    swap_aliases(shop.es, shop.settings.prefix, second)

    assert shop.index(shop.event()).indexed == 1
    assert shop.encoder.batches == [1]
    shop.es.indices.refresh(index=second)
    assert shop.es.count(index=second)["count"] == 1


def test_the_sweeper_deletes_only_old_tombstones(shop: Shop) -> None:
    """Newer tombstones and other listings stay."""
    shop.index(shop.event("gone", status="removed"), shop.event("alive"))

    assert sweep(shop.es, [shop.index_name], timedelta(days=7)) == 0
    assert sweep(shop.es, [shop.index_name], timedelta(0)) == 1
    assert set(shop.documents()) == {"alive"}


def test_the_sweeper_leaves_a_tombstone_that_was_replaced_meanwhile(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The listing came back between the sweeper's search and its delete."""
    shop.index(shop.event(updated_at=at(1), status="removed"))
    bulk = shop.es.bulk

    def relist_first(**options: object) -> object:
        monkeypatch.undo()
        shop.index(shop.event(updated_at=at(2)))
        return bulk(**options)

    monkeypatch.setattr(shop.es, "bulk", relist_first)
    assert sweep(shop.es, [shop.index_name], timedelta(0)) == 0
    assert shop.documents()["m1"]["status"] == "on_sale"
