"""Events of all operations, and what counts of one that is rejected."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.changes import Change, parse_event, status_change
from mappings.errors import InvalidListing
from mappings.listing import Listing, Status, event_version
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


def update(**fields: Any) -> dict[str, Any]:
    """An update with these fields."""
    return {"op": "update", "item_id": "m1", "updated_at": "2026-01-02T09:00:00Z"} | fields


def problems(event: object) -> list[str]:
    """Return the reason codes of an invalid event."""
    with pytest.raises(InvalidListing) as caught:
        parse_event(event, now=NOW)
    return [problem.reason for problem in caught.value.problems]


@pytest.mark.parametrize("operation", [{}, {"op": None}, {"op": "put"}])
def test_without_another_operation_an_event_is_a_complete_listing(operation: dict[str, Any]) -> None:
    """As before there were operations."""
    assert isinstance(parse_event(make_event(**operation), now=NOW), Listing)
    assert "title_missing" in problems(make_event(**operation, title=None))


def test_an_update_has_the_given_fields_in_the_form_of_the_schema() -> None:
    """With the same lenience as a complete listing; a null clears what may be absent."""
    found = parse_event(
        update(
            price="990", currency="jpy", status="SOLD_OUT", category="A > B", popularity=None, images="a|b"
        ),
        now=NOW,
    )

    assert isinstance(found, Change)
    assert found.values == {
        "category": ["A", "B"],
        "price": 990.0,
        "currency": "JPY",
        "status": "sold_out",
        "images": ["a", "b"],
        "popularity": None,
    }
    assert not found.removes


@pytest.mark.parametrize(
    "event", [update(status="removed", title="x"), update() | {"op": "remove", "title": 3}]
)
def test_a_removal_has_no_fields(event: dict[str, Any]) -> None:
    """Whichever way it is written."""
    found = parse_event(event, now=NOW)

    assert isinstance(found, Change)
    assert (found.removes, found.values) == (True, {})


@pytest.mark.parametrize(
    ("event", "reasons"),
    [
        (update(op="upsert"), ["op_unknown"]),
        (update(op=["update"]), ["op_unknown"]),
        (update(title=None), ["title_missing"]),
        (update(price=-1, title=None), ["price_not_positive", "title_missing"]),
        (update(item_id=None), ["item_id_missing"]),
        (update(updated_at=None), ["updated_at_missing"]),
        (update(updated_at="2027-01-01T00:00:00Z"), ["updated_at_in_future"]),
        (update(updated_at="2027-01-01T00:00:00Z", price=-1), ["price_not_positive", "updated_at_in_future"]),
        (update(status="trading"), ["status_unknown"]),
        (update(images=["x"] * 21), ["images_too_many"]),
        ({"op": "remove", "item_id": ".."}, ["item_id_malformed", "updated_at_missing"]),
    ],
)
def test_all_problems_of_a_change_are_named(event: dict[str, Any], reasons: list[str]) -> None:
    """With the codes of a complete listing."""
    assert sorted(problems(event)) == sorted(reasons)


def test_a_change_that_ends_a_sale_wins_at_the_same_instant() -> None:
    """Over a complete event, too."""
    sold, cheap = (
        parse_event(update(**fields), now=NOW) for fields in ({"status": "sold_out"}, {"price": 5})
    )

    assert isinstance(sold, Change)
    assert isinstance(cheap, Change)
    assert sold.version > event_version(make_listing())
    assert sold.version > cheap.version


@pytest.mark.parametrize("changes", HARMLESS)
def test_status_and_price_are_valid_despite_another_invalid_field(changes: dict[str, Any]) -> None:
    """Whatever else is wrong with the event."""
    change = status_change(make_event(status="sold_out", price=990) | changes, now=NOW)

    assert change is not None
    assert change.values == {"status": "sold_out", "price": 990, "currency": "JPY"}


@pytest.mark.parametrize("changes", [{"price": None}, {"price": "1,290"}, {"price": -1}, {"currency": "yen"}])
def test_a_price_counts_only_with_its_currency(changes: dict[str, Any]) -> None:
    """The status counts without them."""
    change = status_change(make_event(status="sold_out", title=None) | changes, now=NOW)

    assert change is not None
    assert change.values == {"status": "sold_out"}


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
def test_nothing_counts_without_item_status_and_time(changes: dict[str, Any]) -> None:
    """A time in the future would block all updates until then."""
    assert status_change(make_event(**changes), now=NOW) is None


@pytest.mark.parametrize("event", [None, [], "text", 3])
def test_only_an_object_has_a_status(event: object) -> None:
    """Other JSON values have no fields."""
    assert status_change(event) is None
    assert problems(event) == ["event_wrong_type"]


@given(st.sampled_from(Status), st.text(min_size=1).filter(str.strip))
def test_the_complete_event_of_the_same_instant_wins(status: Status, title: str) -> None:
    """So a corrected event replaces the status and price that were applied."""
    whole = make_listing(status=status.value, title=title[:1000].strip() or "x")
    change = status_change(make_event(status=status.value, title=None))

    assert change is not None
    assert change.version <= event_version(whole)
    assert change.removes == (status is Status.REMOVED)
