"""A sold item is no longer in results even if the rest of its event is rejected."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from elasticsearch import Elasticsearch, TransportError

from mappings.aliases import swap_aliases
from mappings.creation import create_index
from tests.indexing import RED, Shop, at, remaining, stored_documents, unit

APPLIED = "its status and price are applied to the stored listing if they are newer"

REFUSED: dict[str, dict[str, Any]] = {
    "title_missing": {"title": None},
    "title_malformed": {"title": "half a pair: \ud83d"},
    "title_too_long": {"title": "x" * 100_000},
    "created_at_in_future": {"created_at": "2090-01-01T00:00:00Z"},
    "images_too_many": {"images": ["x.png"] * 21},
    "attributes_wrong_type": {"attributes": {"size": {"eu": "M"}}},
    "category_has_separator": {"category": ["Apparel > Skirts"]},
    "seller_id_malformed": {"seller_id": ".."},
}


@pytest.fixture
def shop(es: Elasticsearch, index_prefix: str, tmp_path: Path) -> Shop:
    """An empty index."""
    return Shop.open(es, index_prefix, tmp_path)


def bad(shop: Shop, minute: float = 2, **changes: Any) -> dict[str, Any]:
    """Return an event without a title."""
    return shop.event(
        **{"updated_at": at(minute), "status": "sold_out", "price": 50, "title": None} | changes
    )


def second_index(shop: Shop) -> str:
    """Create an empty index that is live; the previous one is written too."""
    later = datetime.now(UTC) + timedelta(seconds=2)  # its name has the second
    name = create_index(shop.es, shop.settings.prefix, shop.identity, now=later)
    swap_aliases(shop.es, shop.settings.prefix, name)
    return name


def test_null_photos_and_attributes_are_absent(shop: Shop) -> None:
    """As in CSV: the listing is written, without a vector."""
    shop.index(shop.event(updated_at=at(1)))
    shop.index(shop.event(updated_at=at(2), status="sold_out", images=None, attributes=None))

    document = shop.documents()["m1"]
    assert (document["status"], document["images"], document["photo_problem"]) == ("sold_out", [], "no_photo")


@pytest.mark.parametrize("reason", REFUSED)
def test_status_and_price_of_a_rejected_event_are_applied(shop: Shop, reason: str) -> None:
    """All other fields are unchanged, including the vector; the dead letter has the rule and the reason."""
    shop.index(shop.event(updated_at=at(1)))
    before = shop.documents()["m1"]

    summary = shop.index(shop.event(updated_at=at(2), status="sold_out", price=50) | REFUSED[reason])

    assert summary.rejected == {reason: 1}
    changed = {"status": "sold_out", "price": 50, "offer": "sold_out|JPY|17"}
    found = shop.documents()["m1"]
    assert [name for name, *_ in found.pop("changes")] == ["currency", "price", "status"]
    assert found == before | changed | {"updated_at": "2026-01-01T00:02:00.000000Z"}
    letter = shop.dead_letters()[reason]
    assert letter.id == "item:m1"
    assert letter.detail.startswith(f"{APPLIED}; listing m1 is not valid: ")


def test_a_rejected_removal_leaves_a_tombstone(shop: Shop) -> None:
    """It has no content of the listing, and no late event restores it."""
    shop.index(shop.event(updated_at=at(1)))
    shop.index(bad(shop, 3, status="removed", price=None))
    shop.index(shop.event(updated_at=at(2)))

    document = shop.documents()["m1"]
    assert (document["status"], document["price"], document["images"]) == ("removed", 1290, [])
    assert {"title", "vector", "image_hash", "image_fingerprint"}.isdisjoint(document)


@pytest.mark.parametrize("first", [True, False])
def test_a_late_older_event_does_not_restore_a_sold_item(shop: Shop, first: bool) -> None:
    """Its content is applied, whether the item was known before or not."""
    if first:
        shop.index(shop.event(updated_at=at(1), title="Old"))
    shop.index(bad(shop, 3))
    shop.index(shop.event(updated_at=at(2), title="New"))

    document = shop.documents()["m1"]
    assert (document["title"], document["status"], document["price"]) == ("New", "sold_out", 50)
    assert document["vector"] == pytest.approx(unit(RED), abs=0.01)


def test_dropping_a_dead_letter_keeps_what_was_applied(shop: Shop) -> None:
    """The document has the time of its status."""
    shop.index(shop.event(updated_at=at(1)))
    shop.index(bad(shop, 3))
    shop.indexer.dead_letters.delete(list(shop.dead_letters().values()))
    shop.index(shop.event(updated_at=at(2), title="New"))

    document = shop.documents()["m1"]
    assert (document["title"], document["status"], document["price"]) == ("New", "sold_out", 50)


def test_an_older_rejected_event_changes_nothing(shop: Shop) -> None:
    """The item was relisted since."""
    shop.index(shop.event(updated_at=at(3)))
    shop.index(bad(shop, 2))

    assert shop.documents()["m1"]["status"] == "on_sale"


def test_the_corrected_event_replaces_what_was_applied(shop: Shop) -> None:
    """At the same instant; its dead letter is deleted."""
    shop.index(shop.event(updated_at=at(1)))
    shop.index(bad(shop, 2))
    assert shop.index(shop.event(updated_at=at(2), status="sold_out", title="Mended")).indexed == 1

    document = shop.documents()["m1"]
    assert (document["title"], document["status"], document["price"]) == ("Mended", "sold_out", 1290)
    assert shop.dead_letters() == {}
    assert shop.index(bad(shop, 2)).rejected == {"title_missing": 1}
    assert shop.documents()["m1"] == document


def test_a_repeated_event_retries_its_photo_after_a_status_was_applied(shop: Shop) -> None:
    """The status of the later event is kept."""
    missing = str(shop.photos / "later.png")
    shop.index(shop.event(updated_at=at(1), images=[missing]))
    shop.index(bad(shop, 2, status="reserved"))
    Path(missing).write_bytes(Path(shop.photo()).read_bytes())
    assert shop.index(shop.event(updated_at=at(1), images=[missing])).indexed == 1

    document = shop.documents()["m1"]
    assert (document["status"], "photo_problem" in document) == ("reserved", False)
    assert shop.index(shop.event(updated_at=at(1), images=[missing])).unchanged == 1


def test_one_chunk_may_have_all_events_of_an_item(shop: Shop) -> None:
    """The newest rejected event is applied, at any position."""
    summary = shop.index(
        bad(shop, 3, status="reserved"),
        shop.event(updated_at=at(1), title="Old"),
        bad(shop, 4),
        shop.event(updated_at=at(2), title="New"),
        bad(shop, 5, status="trading"),
    )

    assert (summary.indexed, summary.outdated) == (1, 1)
    assert summary.rejected == {"title_missing": 3}
    document = shop.documents()["m1"]
    assert (document["title"], document["status"], document["price"]) == ("New", "sold_out", 50)


def test_a_status_is_applied_in_every_index_of_the_write_alias(shop: Shop) -> None:
    """Including one that is being filled for a swap."""
    shop.index(shop.event(updated_at=at(1)))
    second = second_index(shop)
    shop.index(bad(shop, 2))
    shop.index(shop.event(updated_at=at(1)))

    stored = [shop.indexer.store.read(index, ["m1"])["m1"].source for index in (shop.index_name, second)]
    assert [source["status"] for source in stored] == ["sold_out", "sold_out"]


def requests_of(shop: Shop, monkeypatch: pytest.MonkeyPatch, *events: object) -> list[str]:
    """Return the paths of the requests to Elasticsearch while the events are indexed, in order."""
    paths: list[str] = []
    perform = shop.es.transport.perform_request

    def counted(method: str, target: str, **options: Any) -> Any:
        paths.append(target.split("?", maxsplit=1)[0])
        return perform(method, target, **options)

    with monkeypatch.context() as patch:
        patch.setattr(shop.es.transport, "perform_request", counted)
        shop.index(*events)
    return paths


@pytest.mark.parametrize("again", [False, True])
def test_a_listing_without_a_vector_needs_one_read_of_its_letter(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    """Its letter cannot be newer than its document, so the document is not read a second time."""
    event = shop.event("m2", images=[str(shop.photos / "missing.png")], updated_at=at(2))
    shop.index(shop.event("m1"), shop.event("m2", updated_at=at(1)))
    if again:
        shop.index(event)
    paths = requests_of(shop, monkeypatch, shop.event("m1"), event)

    reads = [path for path in paths if path.endswith("/_mget")]
    assert reads == [f"/{shop.index_name}/_mget", f"/{shop.settings.prefix}-dead-letters/_mget"]


def test_a_status_that_is_stored_already_is_not_read_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest status is known from the plan of the chunk."""
    shop.index(shop.event(updated_at=at(1)))
    shop.index(bad(shop, 3))
    paths = requests_of(shop, monkeypatch, shop.event(updated_at=at(2), title="New"))

    assert len([path for path in paths if path.endswith("/_mget")]) == 2
    assert shop.documents()["m1"]["status"] == "sold_out"


def test_a_status_that_elasticsearch_rejects_blocks_no_other_item(shop: Shop) -> None:
    """It is noted in the letters once; the chunk is complete. One of two indices rejects all documents."""
    shop.index(shop.event("m1", updated_at=at(1)), shop.event("m2", updated_at=at(1)))
    second = second_index(shop)
    shop.index(shop.event("m2", updated_at=at(2)))
    shop.es.delete(index=shop.index_name, id="m2", refresh=True)
    shop.es.indices.put_settings(index=shop.index_name, settings={"index.default_pipeline": "of-nobody"})
    events = [bad(shop, 3, item_id=item_id) for item_id in ("m1", "m2")]
    chunks = [shop.chunk(events) for _ in range(2)]

    assert [chunk.waiting for chunk in chunks] == [{}, {}]
    assert shop.documents()["m1"]["status"] == "on_sale"
    assert stored_documents(shop.es, second)["m2"]["status"] == "sold_out"
    letters = {letter.item_id: letter.detail for letter in shop.indexer.dead_letters.search()}
    for letter in letters.values():
        assert letter.startswith("not applied: illegal_argument_exception")
        assert letter.count(APPLIED) == 1


@pytest.mark.parametrize("answer", ["none", "block"])
def test_a_letter_that_could_not_be_deleted_is_deleted_by_the_next_attempt(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    """The whole chunk waits until then, whether the request or its only deletion failed."""
    missing = shop.photos / "later.png"
    event = shop.event(images=[str(missing)])
    shop.index(event)
    missing.write_bytes(Path(shop.photo()).read_bytes())
    letters = f"{shop.settings.prefix}-dead-letters"
    bulk = shop.es.bulk

    def failing(**options: Any) -> Any:
        if "delete" in str(options["operations"][0]):
            if answer == "none":
                raise TransportError("away")
            shop.es.indices.put_settings(index=letters, settings={"index.blocks.write": True})
        return bulk(**options)

    with monkeypatch.context() as patch:
        patch.setattr(shop.es, "bulk", failing)
        chunk = shop.chunk([event])
    shop.es.indices.put_settings(index=letters, settings={"index.blocks.write": None})
    assert (remaining(chunk), chunk.outcomes) == ([event], {})

    assert shop.index(event).total == 1
    shop.es.indices.refresh(index=letters)
    assert shop.dead_letters() == {}
