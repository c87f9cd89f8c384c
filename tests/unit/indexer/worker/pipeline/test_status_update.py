"""The parts of a rejected event that are applied: its status, and its price if that is valid."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.worker.pipeline.status_update import PriceTag, parse_status_update
from mappings.listing import Status, event_version
from tests.factories import make_event, make_listing

NOW = datetime(2026, 6, 1, tzinfo=UTC)

HARMLESS: list[dict[str, Any]] = [
    {"title": None},
    {"title": "x" * 10_000},
    {"title": "half a pair: \ud83d"},
    {"category": ["Apparel > Skirts"]},
    {"category": []},
    {"seller_id": "../s1"},
    {"created_at": "2030-01-01T00:00:00Z"},
    {"created_at": "yesterday"},
    {"images": ["x"] * 21},
    {"images": {"main": "a.jpg"}},
    {"attributes": {"size": {"eu": 40}}},
]


@pytest.mark.parametrize("changes", HARMLESS)
def test_status_and_price_are_valid_despite_another_invalid_field(changes: dict[str, Any]) -> None:
    """Whatever else is wrong with the event."""
    update = parse_status_update(make_event(status="sold_out", price=990) | changes, now=NOW)

    assert update is not None
    assert (update.status, update.price_tag) == (Status.SOLD_OUT, PriceTag(price=990, currency="JPY"))
    assert str(update) == "its status and price are applied to the stored listing if they are newer"


@pytest.mark.parametrize("changes", [{"price": None}, {"price": "1,290"}, {"price": -1}, {"currency": "yen"}])
def test_a_price_is_applied_only_with_its_currency(changes: dict[str, Any]) -> None:
    """The status is applied without them."""
    update = parse_status_update(make_event(status="removed", title=None) | changes, now=NOW)

    assert update is not None
    assert (update.status, update.price_tag) == (Status.REMOVED, None)
    assert str(update) == "its status is applied to the stored listing if it is newer"
    assert {"price", "currency"}.isdisjoint(update.changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"item_id": None},
        {"item_id": ".."},
        {"status": "trading"},
        {"status": None},
        {"updated_at": "yesterday"},
        {"updated_at": None},
        {"updated_at": "2026-07-01T00:00:00Z"},
        {"updated_at": "1969-01-01T00:00:00Z"},
    ],
)
def test_nothing_is_applied_without_item_status_and_time(changes: dict[str, Any]) -> None:
    """A time in the future would block all updates until then."""
    assert parse_status_update(make_event(**changes), now=NOW) is None


@pytest.mark.parametrize("event", [None, [], "text", 3])
def test_only_an_object_has_a_status(event: object) -> None:
    """Other JSON values have no fields."""
    assert parse_status_update(event) is None


@given(st.sampled_from(Status), st.text(min_size=1).filter(str.strip))
def test_the_complete_event_of_the_same_instant_wins(status: Status, title: str) -> None:
    """So a corrected event replaces the status and price that were applied."""
    whole = make_listing(status=status.value, title=title[:1000].strip() or "x")
    update = parse_status_update(make_event(status=status.value, title=None))

    assert update is not None
    assert not update.overrides(whole.status, event_version(whole))


def test_a_removed_listing_is_not_restored_without_content() -> None:
    """Its tombstone has no title and no photo."""
    update = parse_status_update(make_event(status="on_sale", title=None))

    assert update is not None
    assert update.overrides(Status.SOLD_OUT, 1)
    assert not update.overrides(Status.REMOVED, 1)
