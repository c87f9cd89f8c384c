"""How forgotten items are recognised, and what is recorded of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from indexer.jobs.forget import audit_line
from indexer.jobs.forget_documents import forgotten_version, is_forgotten
from indexer.jobs.forget_subject import Subject
from indexer.worker.pipeline.documents import source_of, to_document
from indexer.worker.pipeline.item_state import ItemState, join
from tests.factories import make_listing

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize("ahead", [-timedelta(days=9), timedelta(0), timedelta(minutes=5)])
def test_events_that_workers_accept_by_now_add_nothing_to_a_tombstone(ahead: timedelta) -> None:
    """Not even the seller or the price, which the tombstone of a removed item keeps."""
    version = forgotten_version(NOW)
    stored = source_of("m1", ItemState(version, {}, {}, version), None, "e1")
    assert is_forgotten(stored)
    state = ItemState.of_source(stored, 1)
    event = ItemState.of_listing(make_listing(updated_at=(NOW + ahead).isoformat()))
    joined = join([state, event])
    assert joined.versions == state.versions
    assert is_forgotten(source_of("m1", joined, None, "e1"))


def test_a_removed_listing_is_not_forgotten() -> None:
    """Its tombstone has a seller and a price."""
    removed = to_document(make_listing(status="removed"), None, "e1").to_source()
    assert not is_forgotten(removed)
    assert not is_forgotten(to_document(make_listing(), None, "e1").to_source())


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('{"item_id": "m1"}', True),
        ('{"item_id": "m\\u0031", broken', True),
        ('"seller_id":"s9"', True),
        ('{"item_id": 77}', True),
        ('{"item_id": "m11"}', False),
        ("m1", False),
        ('{"title": "like m1"}', False),
        ('"\\x"', False),
    ],
)
def test_a_subject_is_found_in_text_by_whole_values(text: str, named: bool) -> None:
    """In any form of JSON, damaged or not."""
    assert Subject({"m1", "77"}, "s9").is_named_in(text) is named


def test_a_subject_is_found_in_events_by_item_and_seller() -> None:
    """Ids may be numbers; without a seller, an event without one is another's."""
    subject = Subject({"77"}, "s9")
    assert subject.is_in({"item_id": 77})
    assert subject.is_in({"item_id": "m1", "seller_id": "s9"})
    assert not subject.is_in({"item_id": "m1", "seller_id": "s1"})
    assert not Subject({"77"}).is_in({"item_id": "m1"})
    assert not subject.is_in(None)


def test_the_audit_line_has_keyed_hashes_in_place_of_ids() -> None:
    """The same with the same salt, so that a line can be found again."""
    line = audit_line("salt-one", ["m1"], "m1", {"deleted": {"documents": 1}})
    assert "m1" not in json.dumps(line)
    assert line["deleted"] == {"documents": 1}
    assert line["items"] == audit_line("salt-one", ["m1"], None, {})["items"]
    assert line["items"] != audit_line("salt-two", ["m1"], None, {})["items"]
    assert line["seller"] not in line["items"]
