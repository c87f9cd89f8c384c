"""What becomes of listings: ordered, plausible, and accepted by the contract."""

from datetime import UTC, datetime

import pytest

from demo.marketplace.listings import ListingEvent, generate, timestamp
from demo.marketplace.random_source import UnusableSeed
from demo.marketplace.sales_history import LIFE_UNTIL, events
from mappings.listing import parse_listing


@pytest.fixture(scope="module")
def listings() -> dict[str, ListingEvent]:
    return {listing["item_id"]: listing for listing in generate(2000, seed=7)}


@pytest.fixture(scope="module")
def later(listings: dict[str, ListingEvent]) -> list[ListingEvent]:
    return list(events(listings.values(), seed=7))


def test_events_come_in_order_of_time_and_are_the_same_for_the_same_seed(
    listings: dict[str, ListingEvent], later: list[ListingEvent]
) -> None:
    """Sorted by updated_at; another seed tells another story."""
    assert later == sorted(later, key=lambda event: event["updated_at"])
    assert later == list(events(listings.values(), seed=7))
    assert later != list(events(listings.values(), seed=8))


def test_every_event_is_newer_than_what_was_known_of_its_item(
    listings: dict[str, ListingEvent], later: list[ListingEvent]
) -> None:
    """updated_at grows strictly for each item, so that no two events tie."""
    newest = {item_id: listing["updated_at"] for item_id, listing in listings.items()}
    for event in later:
        assert event["updated_at"] > newest[event["item_id"]]
        newest[event["item_id"]] = event["updated_at"]


def test_nothing_happens_after_june_2026(later: list[ListingEvent]) -> None:
    """The last event is no later than 2026-06-30, so none is ever in the future."""
    assert timestamp(LIFE_UNTIL) == "2026-06-30T00:00:00Z"
    assert later[-1]["updated_at"] <= timestamp(LIFE_UNTIL)


def test_all_that_can_happen_happens(listings: dict[str, ListingEvent], later: list[ListingEvent]) -> None:
    """Price drops, reservations, sales, removals and relistings all occur among 2,000 listings."""
    changes, before = set(), dict(listings)
    for event in later:
        was = before[event["item_id"]]
        changes.add("cheaper" if event["price"] < was["price"] else f"{was['status']} to {event['status']}")
        before[event["item_id"]] = event
    assert changes >= {
        "cheaper",
        "on_sale to reserved",
        "on_sale to sold_out",
        "on_sale to removed",
        "reserved to sold_out",
        "reserved to on_sale",
        "sold_out to on_sale",
    }


def test_a_sold_listing_is_rarely_seen_again(
    listings: dict[str, ListingEvent], later: list[ListingEvent]
) -> None:
    """Under a tenth of the sold ones are relisted."""
    sold = {item_id for item_id, listing in listings.items() if listing["status"] == "sold_out"}
    relisted = {event["item_id"] for event in later} & sold
    assert 0 < len(relisted) < len(sold) / 10


def test_only_what_may_change_changes(listings: dict[str, ListingEvent], later: list[ListingEvent]) -> None:
    """Seller, photos, category and attributes stay; so a price drop never needs a new vector."""
    for event in later:
        known = listings[event["item_id"]]
        for name in ("seller_id", "images", "category", "attributes", "created_at", "currency"):
            assert event[name] == known[name]
        assert event["price"] <= known["price"]


def test_every_event_is_accepted_by_the_contract(later: list[ListingEvent]) -> None:
    """parse_listing takes each, as of the day after the last."""
    for event in later:
        assert parse_listing(event, now=datetime(2026, 7, 1, tzinfo=UTC)).item_id == event["item_id"]


def test_an_unusable_seed_is_refused_before_anything_happens() -> None:
    """Negative seeds are refused by name."""
    with pytest.raises(UnusableSeed, match="-3"):
        events([], seed=-3)
