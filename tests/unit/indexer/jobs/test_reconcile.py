"""What counts as a difference between a row and what is stored, and the memory of the rows."""

from __future__ import annotations

from typing import Any

import pytest

from indexer.intake.row import Row
from indexer.jobs.expected_items import Expected, events_of, from_rows
from indexer.jobs.reconcile import Kind, SeenIds, difference_of
from indexer.worker.pipeline.item_state import ItemState, join
from mappings.changes import Change, parse_event
from mappings.listing import parse_listing
from tests.factories import make_event, make_listing

EARLY, LATE = "2026-01-02T09:00:00Z", "2026-01-03T09:00:00Z"


def row(**changes: Any) -> Expected:
    """The item of a row of a source."""
    (item,) = from_rows([Row(make_event(**changes), location="line 1")])
    assert isinstance(item, Expected)
    return item


def stored(*events: dict[str, Any]) -> ItemState:
    """What an index has after these events."""
    parsed = map(parse_event, (make_event(), *events))
    return join(
        ItemState.of_change(each) if isinstance(each, Change) else ItemState.of_listing(each)
        for each in parsed
    )


def update(**fields: Any) -> dict[str, Any]:
    """A change of some fields."""
    return {"op": "update", "item_id": "m1", "updated_at": LATE} | fields


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        (row(), stored()),
        (row(title="Older", updated_at="2026-01-01T09:00:00Z"), stored()),
        (row(price=5, updated_at=LATE), stored(update(price=5))),
        (row(updated_at=LATE), stored()),
        (row(), stored({"op": "remove", "item_id": "m1", "updated_at": LATE})),
        (row(status="removed", updated_at=LATE), None),
        (
            row(status="removed", updated_at=LATE),
            stored({"op": "remove", "item_id": "m1", "updated_at": EARLY}),
        ),
    ],
    ids=["same", "older", "changed field by field", "touched", "removed since", "gone", "removed before"],
)
def test_rows_that_are_no_difference(expected: Expected, found: ItemState | None) -> None:
    """They say nothing that the index does not show."""
    assert difference_of(expected, found) is None


@pytest.mark.parametrize(
    ("expected", "found", "kind", "detail"),
    [
        (row(), None, Kind.MISSING, "updated_at 2026-01-02T09:00:00.000000Z"),
        (row(), ItemState.of_change(parse_event(update(price=5))), Kind.MISSING, ""),  # type: ignore[arg-type]
        (row(price=5, title="Blue", updated_at=LATE), stored(), Kind.STALE, "price, title: "),
        (row(price=6, updated_at=LATE), stored(update(price=5, updated_at=EARLY)), Kind.STALE, "price: "),
        (row(status="removed", updated_at=LATE), stored(), Kind.STALE, "attributes, images, status, title: "),
    ],
)
def test_rows_that_are_missing_or_stale(
    expected: Expected, found: ItemState | None, kind: Kind, detail: str
) -> None:
    """With the fields that differ and the row as the event that repairs them."""
    difference = difference_of(expected, found)
    assert difference is not None
    assert difference.kind == kind
    assert difference.detail.startswith(detail)
    assert difference.events == expected.events


def test_other_content_at_the_same_time_is_never_overlooked() -> None:
    """Whichever of both wins: a newer row is stale, an older one cannot be repaired."""
    kinds = set()
    for number in range(20):
        difference = difference_of(row(title=f"Skirt {number}"), stored())
        assert difference is not None
        kinds.add(difference.kind)
    assert kinds == {Kind.STALE, Kind.SAME_TIME}


def test_the_events_of_a_state_lead_to_it_again() -> None:
    """To the same version of the complete event, and to the same fields."""
    state = stored(update(price=5, attributes=None), update(title="Later", updated_at="2026-01-04T09:00:00Z"))
    events = events_of("m1", state)
    assert [event.get("op") for event in events] == [None, "update", "update"]
    again = stored(*events)
    assert again.version == state.version
    assert again.listing_fields() == state.listing_fields()
    removed = stored({"op": "remove", "item_id": "m1", "updated_at": LATE})
    assert stored(*events_of("m1", removed)).is_removed
    assert parse_listing(events[0]) == make_listing()


def test_seen_ids_are_counted_once() -> None:
    """And others are not among them."""
    seen = SeenIds()
    for number in [*range(1000), *range(500)]:
        seen.add(f"m{number}")
    assert len(seen) == 1000
    assert all(f"m{number}" in seen for number in range(1000))
    assert not any(f"m{number}" in seen for number in range(1000, 2000))
    assert "m1" not in SeenIds()
