"""Listings: the same for the same seed, shaped like a marketplace, and accepted by the contract."""

import json
import math
from collections import Counter
from itertools import islice
from statistics import median, pstdev

import pytest

from demo.marketplace.catalogue import BRANDS, CONDITIONS, TYPES
from demo.marketplace.listings import (
    DAY,
    LISTED_FROM,
    LISTED_UNTIL,
    ListingEvent,
    generate,
    offer_at,
    photos_at,
    timestamp,
)
from mappings.listing import parse_listing
from query.search.terms.popularity import FULL_POPULARITY

MANY = 6000


@pytest.fixture(scope="module")
def listings() -> list[ListingEvent]:
    return list(generate(MANY, seed=7))


def median_price(listings: list[ListingEvent], **attributes: str) -> float:
    return median(
        listing["price"]
        for listing in listings
        if all(listing["attributes"].get(name) == value for name, value in attributes.items())
    )


def test_the_same_seed_gives_identical_listings() -> None:
    """Two runs of one seed are the same JSON; another seed differs."""
    assert json.dumps(list(generate(50, 3))) == json.dumps(list(generate(50, 3)))
    dates, others = ([listing["created_at"] for listing in generate(50, seed)] for seed in (3, 4))
    assert not set(dates) & set(others)


def test_fewer_listings_are_the_start_of_more() -> None:
    """A small marketplace is the first part of a large one, copies of photos included."""
    assert list(generate(100, 3)) == list(islice(generate(1000, 3), 100))


def test_every_listing_is_accepted_by_the_contract(listings: list[ListingEvent]) -> None:
    """parse_listing takes each event and keeps its id and price."""
    for listing in listings:
        parsed = parse_listing(listing)
        assert (parsed.item_id, parsed.price) == (listing["item_id"], listing["price"])


def test_ids_count_up_and_never_repeat(listings: list[ListingEvent]) -> None:
    """d0000001, d0000002 and so on."""
    assert [listing["item_id"] for listing in listings] == [f"d{n:07d}" for n in range(1, MANY + 1)]


def test_status_shares_are_those_of_the_marketplace(listings: list[ListingEvent]) -> None:
    """72 % on sale, 4 % reserved, 21 % sold, 3 % removed, each within two points."""
    shares = {status: found / MANY for status, found in Counter(x["status"] for x in listings).items()}
    assert shares == {
        "on_sale": pytest.approx(0.72, abs=0.02),
        "reserved": pytest.approx(0.04, abs=0.02),
        "sold_out": pytest.approx(0.21, abs=0.02),
        "removed": pytest.approx(0.03, abs=0.02),
    }


def test_only_reserved_listings_address_one_buyer(listings: list[ListingEvent]) -> None:
    """A reserved title names its buyer and no type of item; no other title does."""
    for listing in listings:
        addressed = any(
            word in listing["title"] for word in ("専用", "Reserved for", "Listing for", "only, please")
        )
        assert addressed == (listing["status"] == "reserved"), listing["title"]


def test_titles_come_in_both_languages(listings: list[ListingEvent]) -> None:
    """Neither English nor Japanese has less than a third."""
    japanese = sum(not listing["title"].isascii() for listing in listings) / MANY
    assert 1 / 3 < japanese < 2 / 3


def test_every_type_is_sold_under_several_roots_one_to_five_levels_deep(listings: list[ListingEvent]) -> None:
    """All types appear, category paths have every allowed length, and there are at least six roots."""
    assert {listing["attributes"]["type"] for listing in listings} == {kind.english for kind in TYPES}
    assert {len(listing["category"]) for listing in listings} == {1, 2, 3, 4, 5}
    assert len({listing["category"][0] for listing in listings}) >= 6


def test_price_depends_on_type(listings: list[ListingEvent]) -> None:
    """A phone costs several times a T-shirt, which costs more than a mug."""
    t_shirt = median_price(listings, type="T-shirt")
    assert median_price(listings, type="smartphone") > 4 * t_shirt
    assert t_shirt > median_price(listings, type="mug")


def test_price_depends_on_brand(listings: list[ListingEvent]) -> None:
    """The dearest fashion brand asks at least three times what the cheapest does."""
    fashion = sorted((brand for brand in BRANDS if brand.group == "fashion"), key=lambda brand: brand.factor)
    cheap, dear = (median_price(listings, brand=brand.english) for brand in (fashion[0], fashion[-1]))
    assert dear > 3 * cheap


def test_price_falls_with_wear(listings: list[ListingEvent]) -> None:
    """Each worse condition has a lower median price."""
    medians = [median_price(listings, condition=condition.code) for condition in CONDITIONS]
    assert medians == sorted(medians, reverse=True)
    assert len(set(medians)) == len(CONDITIONS)


def test_few_listings_have_most_of_the_likes(listings: list[ListingEvent]) -> None:
    """Whole numbers, by which a popularity term tells listings apart without being led by a handful."""
    likes = sorted(listing["popularity"] for listing in listings)
    assert all(type(each) is int and each >= 0 for each in likes)
    assert 3 <= median(likes) <= 15
    assert 0.005 < sum(each >= FULL_POPULARITY for each in likes) / MANY < 0.05
    assert sum(likes[-MANY // 10 :]) > 0.35 * sum(likes)


def test_likes_follow_the_design_and_the_time_listed(listings: list[ListingEvent]) -> None:
    """Listings of one design are liked alike, and one of last week has had no time for likes."""
    by_design: dict[int, list[float]] = {}
    for number, listing in enumerate(listings, 1):
        by_design.setdefault(offer_at(number, 7).design, []).append(math.log1p(listing["popularity"]))
    within = median(pstdev(each) for each in by_design.values() if len(each) >= 5)
    assert within < 0.85 * pstdev(each for found in by_design.values() for each in found)
    newest = [
        each["popularity"] for each in listings if each["created_at"] > timestamp(LISTED_UNTIL - 7 * DAY)
    ]
    assert median(newest) < median(listing["popularity"] for listing in listings) / 2


def test_prices_are_whole_yen_of_at_least_three_hundred(listings: list[ListingEvent]) -> None:
    """Integers in JPY, none below the marketplace's lowest price."""
    assert all(type(listing["price"]) is int and listing["price"] >= 300 for listing in listings)
    assert {listing["currency"] for listing in listings} == {"JPY"}


def test_few_sellers_have_many_listings_and_most_have_few(listings: list[ListingEvent]) -> None:
    """The largest tenth of sellers have over two fifths, and none has more than a tenth."""
    counts = sorted(Counter(listing["seller_id"] for listing in listings).values(), reverse=True)
    assert sum(counts[: len(counts) // 10]) > MANY * 0.4
    assert counts[0] < MANY / 10
    assert median(counts) <= 5


def test_designs_are_sold_by_several_sellers() -> None:
    """At least half of all listings have the design of another seller's listing."""
    offers = [offer_at(number, 7) for number in range(1, 2001)]
    sellers: dict[int, set[int]] = {}
    for offer in offers:
        sellers.setdefault(offer.design, set()).add(offer.seller)
    assert sum(len(sellers[offer.design]) > 1 for offer in offers) > 1000


def test_some_listings_reuse_the_photos_of_an_earlier_one() -> None:
    """Relisted by the same seller or taken by another, the photos are the very same, and so is the design."""
    offers = [offer_at(number, 7) for number in range(1, 2001)]
    copies = [offer for offer in offers if offer.photographed != offer.number]
    assert 40 <= len(copies) <= 120
    originals = [offers[copy.photographed - 1] for copy in copies]
    assert {copy.seller == original.seller for copy, original in zip(copies, originals, strict=True)} == {
        True,
        False,
    }
    for copy, original in zip(copies, originals, strict=True):
        assert original.number < copy.number
        assert photos_at(copy.number, 7) == photos_at(original.number, 7)


def test_some_listings_have_two_or_three_photos_of_one_design(listings: list[ListingEvent]) -> None:
    """Each image of a listing is drawn from the same design in a scene of its own."""
    assert {len(listing["images"]) for listing in listings} == {1, 2, 3}
    number = next(n for n, listing in enumerate(listings, 1) if len(listing["images"]) == 3)
    specs = photos_at(number, 7)
    assert len({spec.design for spec in specs}) == 1
    assert len({spec.scene for spec in specs}) == 3


def test_dates_lie_in_the_year_and_updates_follow_creation(listings: list[ListingEvent]) -> None:
    """created_at <= updated_at, both within the year the marketplace covers."""
    first, last = timestamp(LISTED_FROM), timestamp(LISTED_UNTIL)
    assert all(first <= listing["created_at"] <= listing["updated_at"] <= last for listing in listings)


@pytest.mark.parametrize(
    ("seconds", "written"), [(0, "1970-01-01T00:00:00Z"), (1_767_225_599, "2025-12-31T23:59:59Z")]
)
def test_timestamps_are_written_in_utc(seconds: int, written: str) -> None:
    """Hand-computed instants."""
    assert timestamp(seconds) == written
