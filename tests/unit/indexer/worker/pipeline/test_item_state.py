"""What the events of an item say together does not depend on their order or repetition."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.worker.pipeline.documents import source_of, to_document
from indexer.worker.pipeline.item_state import ItemState, join
from mappings.changes import Change, parse_event, status_change
from mappings.listing import ListingDocument, Status, event_version
from tests.factories import make_event, make_listing
from tests.indexing import at

ENCODER = "colour-00000001"


def state(**event: Any) -> ItemState:
    """What an event says: a complete one unless `op` is passed."""
    parsed = parse_event(event if "op" in event else make_event(**event))
    return ItemState.of_change(parsed) if isinstance(parsed, Change) else ItemState.of_listing(parsed)


def update(minute: float, **fields: Any) -> ItemState:
    """What a change says."""
    return state(op="update", item_id="m1", updated_at=at(minute), **fields)


def removal(minute: float) -> ItemState:
    """What a removal says."""
    return state(op="remove", item_id="m1", updated_at=at(minute))


def put(minute: float, **fields: Any) -> ItemState:
    """What a complete event says."""
    return state(updated_at=at(minute), **fields)


def source(*states: ItemState) -> dict[str, Any]:
    """The document of an item with these events, as it is stored."""
    return source_of("m1", join(states), None, ENCODER)


def document(*states: ItemState) -> ListingDocument:
    """The same as it is read."""
    return ListingDocument.from_source(source(*states))


STATES = st.one_of(
    st.builds(put, st.integers(0, 9), price=st.sampled_from([100, 200])),
    st.builds(put, st.integers(0, 9), status=st.sampled_from(list(map(str, Status)))),
    st.builds(update, st.integers(0, 9), price=st.sampled_from([300, None])),
    st.builds(update, st.integers(0, 9), title=st.sampled_from(["a", "b"]), status=st.sampled_from(Status)),
    st.builds(removal, st.integers(0, 9)),
)


@given(st.lists(STATES, max_size=8), st.data())
def test_order_and_repetition_do_not_matter(states: list[ItemState], data: st.DataObject) -> None:
    """Nor which of them were joined before."""
    again = data.draw(st.lists(st.sampled_from(states), max_size=3)) if states else []
    shuffled = data.draw(st.permutations(states + again))
    cut = data.draw(st.integers(0, len(shuffled)))

    assert join([join(shuffled[cut:]), join(shuffled[:cut])]) == join(states)


@given(st.lists(STATES, min_size=1, max_size=6))
def test_a_stored_document_has_the_whole_state(states: list[ItemState]) -> None:
    """It is the same after it was stored, but for fields that later changes replace anyway."""
    stored = ItemState.of_source(source(*states), version=1)

    assert stored.versions == join(states).versions
    assert source(stored) | {"indexed_at": ""} == source(*states) | {"indexed_at": ""}


def test_a_change_sets_its_fields_alone() -> None:
    """Each of two changes, in either order; the time is that of the newest."""
    found = document(update(3, title="New"), put(1), update(2, price=990))

    assert (found.title, found.price, found.status) == ("New", 990, Status.ON_SALE)
    assert found.updated_at.minute == 3


def test_a_later_complete_event_replaces_a_change() -> None:
    """An earlier one does not."""
    assert document(put(1), update(2, price=990), put(3)).price == 1290
    assert document(update(2, price=990), put(3), put(1)).price == 1290
    assert document(put(1), update(3, price=990), put(2, title="New")).price == 990


def test_null_clears_a_field() -> None:
    """The price is unknown then."""
    assert document(put(1), update(2, price=None)).price is None


@pytest.mark.parametrize(
    "later", [update(3, price=5), update(3, status="on_sale"), update(3, title="Secret")]
)
def test_only_a_complete_event_restores_a_removed_item(later: ItemState) -> None:
    """What came after the removal then applies; nothing of before is left."""
    gone = document(put(1), removal(2), later)
    assert gone.status is Status.REMOVED
    assert (gone.title, gone.images, gone.attributes) == (None, (), {})

    back = document(put(1), removal(2), later, put(2.5, title="Back"))
    assert back.status is Status.ON_SALE
    assert back.title == later.changes.get("title", (0, "Back"))[1]
    assert back.price == later.changes.get("price", (0, 1290))[1]


def test_a_removed_item_keeps_nothing_that_was_changed_before() -> None:
    """Such as a title."""
    stored = source(put(1), update(2, title="Secret", price=7), removal(3))

    assert "Secret" not in str(stored)
    assert stored["price"] == 7


def test_changes_before_the_first_complete_event_are_kept() -> None:
    """The document until then is no listing."""
    early = document(update(2, price=7))
    assert (early.version, early.status) == (0, Status.REMOVED)

    assert document(update(2, price=7), put(1)).price == 7


def test_an_unknown_item_is_stored_the_same_in_any_order() -> None:
    """What stands in for the fields that nobody has told is no part of its state."""
    stored = ItemState.of_source(source(update(2, price=7)), version=1)

    assert stored.fields == {}
    one, other = source(stored, removal(3)), source(update(2, price=7), removal(3))
    assert one | {"indexed_at": ""} == other | {"indexed_at": ""}


def test_a_document_of_version_0_1_has_its_status_apart() -> None:
    """Its own version was that of the listing; a rejected event had changed status and price since."""
    listing = make_listing(updated_at=at(1))
    old = to_document(listing, None, ENCODER).to_source()
    del old["version"]
    sold = old | {"status": "sold_out", "price": 50, "updated_at": at(3)}
    gone = old | {"status": "removed", "updated_at": at(3)}

    unchanged = ItemState.of_source(old, event_version(listing))
    assert unchanged.versions == ItemState.of_listing(listing).versions
    later = document(ItemState.of_source(sold, event_version(listing)), put(2, title="New"))
    assert (later.title, later.status, later.price) == ("New", Status.SOLD_OUT, 50)
    assert document(ItemState.of_source(gone, event_version(listing)), put(2)).status is Status.REMOVED


def test_a_corrected_event_replaces_the_status_of_the_rejected_one() -> None:
    """At the same instant."""
    change = status_change(make_event(title=None, price=5))
    assert change is not None

    assert document(ItemState.of_change(change), state()).price == 1290
