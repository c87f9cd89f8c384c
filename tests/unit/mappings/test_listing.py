"""Listing events: validation, reason codes, and the order of events."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from mappings.errors import InvalidListing
from mappings.listing import (
    CLOCK_SKEW,
    Listing,
    ListingDocument,
    Status,
    category_paths,
    complete,
    event_version,
    image_fingerprint,
    incomplete,
    is_incomplete,
    isoformat,
    listing_schema,
    parse_listing,
)
from tests.factories import make_document, make_event, make_listing

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def reasons(event: object) -> set[str]:
    with pytest.raises(InvalidListing) as caught:
        parse_listing(event, now=NOW)
    return {problem.reason for problem in caught.value.problems}


def test_valid_event_becomes_a_listing_and_the_same_event_again() -> None:
    """Nothing is lost; dates are written in one form."""
    event = make_event()
    back = parse_listing(event, now=NOW).to_event()
    dates = {"created_at": "2026-01-01T09:00:00.000000Z", "updated_at": "2026-01-02T09:00:00.000000Z"}
    assert back == event | dates
    assert json.loads(json.dumps(back)) == back


@pytest.mark.parametrize("field", [name for name, info in Listing.model_fields.items() if info.is_required()])
def test_missing_field_is_named(field: str) -> None:
    """Each required field that is absent has its own reason code."""
    event = make_event()
    del event[field]
    assert reasons(event) == {f"{field}_missing"}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"item_id": 7.5}, "item_id_wrong_type"),
        ({"item_id": "a\nb"}, "item_id_malformed"),
        ({"item_id": ".."}, "item_id_malformed"),
        ({"item_id": True}, "item_id_wrong_type"),
        ({"item_id": "あ" * 86}, "item_id_too_long"),
        ({"title": ""}, "title_empty"),
        ({"title": "   "}, "title_empty"),
        ({"title": None}, "title_missing"),
        ({"category": [None]}, "category_empty"),
        ({"created_at": None, "price": 1}, "created_at_missing"),
        ({"updated_at": None}, "updated_at_missing"),
        ({"title": "x" * 10_000}, "title_too_long"),
        ({"title": "\ud800"}, "title_malformed"),
        ({"category": []}, "category_empty"),
        ({"category": list("abcdef")}, "category_too_many"),
        ({"category": 7}, "category_wrong_type"),
        ({"category": " > "}, "category_empty"),
        ({"category": "['a' 'b']"}, "category_wrong_type"),
        ({"category": ["Apparel", ""]}, "category_empty"),
        ({"category": ["Apparel > Skirts"]}, "category_has_separator"),
        *(({"price": text}, "price_wrong_type") for text in ("1,290", "1.290", "1 290", "¥1290", "")),
        ({"price": True}, "price_wrong_type"),
        ({"price": 0.001}, "price_not_positive"),
        ({"price": 5e-324}, "price_not_positive"),
        ({"price": -5}, "price_not_positive"),
        ({"price": float("nan")}, "price_not_finite"),
        ({"price": float("inf")}, "price_not_finite"),
        ({"price": 1e13}, "price_too_large"),
        ({"popularity": -1}, "popularity_not_positive"),
        ({"popularity": "7,000"}, "popularity_wrong_type"),
        ({"popularity": float("nan")}, "popularity_not_finite"),
        ({"popularity": 1e13}, "popularity_too_large"),
        ({"currency": "円"}, "currency_malformed"),
        ({"currency": None}, "currency_missing"),
        ({"currency": "yen"}, "currency_unknown"),
        ({"currency": "YEN"}, "currency_unknown"),
        ({"currency": "XYZ"}, "currency_unknown"),
        ({"seller_id": ""}, "seller_id_empty"),
        ({"status": "gone"}, "status_unknown"),
        ({"status": 1}, "status_unknown"),
        *(({"created_at": day}, "created_at_wrong_type") for day in (20260131, "202601310930", 0, 10**15)),
        ({"created_at": 2026013109}, "created_at_in_future"),
        ({"updated_at": "2026-02-31T00:00:00Z"}, "updated_at_malformed"),
        ({"updated_at": "yesterday"}, "updated_at_malformed"),
        ({"updated_at": "2026-01-02T09:00:00"}, "updated_at_no_timezone"),
        ({"updated_at": "2026-06-02T00:00:00Z"}, "updated_at_in_future"),
        ({"created_at": "2030-01-01T00:00:00Z"}, "created_at_in_future"),
        ({"created_at": "0001-01-01T00:00:00+14:00"}, "created_at_too_early"),
        ({"images": {"main": "a.jpg"}}, "images_wrong_type"),
        ({"images": [""]}, "images_empty"),
        ({"images": ["x" * 3000]}, "images_too_long"),
        ({"images": ["x"] * 21}, "images_too_many"),
        ({"attributes": {"size": [["M"]]}}, "attributes_wrong_type"),
        ({"attributes": {"size": {"eu": 40}}}, "attributes_wrong_type"),
        ({"attributes": {"size": ["M"] * 21}}, "attributes_wrong_type"),
        ({"attributes": {"n": float("nan")}}, "attributes_wrong_type"),
        ({"attributes": {"a.b": "c"}}, "attributes_malformed"),
        ({"attributes": {str(n): n for n in range(51)}}, "attributes_too_many"),
    ],
)
def test_bad_value_has_its_reason_code(changes: dict[str, Any], reason: str) -> None:
    """Every kind of invalid value has a stable reason code."""
    assert reasons(make_event(**changes)) == {reason}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"attributes": {"a.b": "c"}}, "attributes: found 'a.b', expected a name without a dot or NUL"),
        ({"currency": "円"}, "currency: found '円', expected a currency's code of ISO 4217 in capitals"),
    ],
)
def test_the_form_of_a_text_is_said_in_words(changes: dict[str, Any], words: str) -> None:
    """Not as a regular expression."""
    with pytest.raises(InvalidListing, match=re.escape(words)):
        parse_listing(make_event(**changes), now=NOW)


@pytest.mark.parametrize(
    ("null", "absent"),
    [
        ({"images": None}, {"images": []}),
        ({"images": [None]}, {"images": []}),
        ({"images": [None, "a.jpg", None]}, {"images": ["a.jpg"]}),
        ({"attributes": None}, {"attributes": {}}),
        ({"attributes": {"colour": None, "size": "M"}}, {"attributes": {"size": "M"}}),
        ({"category": ["Apparel", None]}, {"category": ["Apparel"]}),
        ({"attributes": {"size": [None, "M"], "colour": [None]}}, {"attributes": {"size": ["M"]}}),
        ({"shipping": None}, {}),
    ],
)
def test_null_means_absent(null: dict[str, Any], absent: dict[str, Any]) -> None:
    """In every place, as an empty field does in CSV; the event's version is the same too."""
    listing = make_listing(**null)
    assert listing == make_listing(**absent)
    assert event_version(listing) == event_version(make_listing(**absent))


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ({"item_id": 10001, "seller_id": 7}, {"item_id": "10001", "seller_id": "7"}),
        ({"price": "1290"}, {"price": 1290}),
        ({"price": " 12.50 ", "popularity": "3"}, {"price": 12.5, "popularity": 3}),
        ({"price": "1.290", "currency": "kwd"}, {"price": 1.29, "currency": "KWD"}),
        ({"currency": " jpy "}, {"currency": "JPY"}),
        ({"status": "ON_SALE"}, {"status": "on_sale"}),
        ({"images": "https://a.example/1.jpg"}, {"images": ["https://a.example/1.jpg"]}),
        ({"images": "a.jpg|b.jpg"}, {"images": ["a.jpg", "b.jpg"]}),
        ({"images": ""}, {"images": []}),
        ({"category": "Apparel > Skirts"}, {"category": ["Apparel", "Skirts"]}),
        ({"category": "Apparel>Skirts >"}, {"category": ["Apparel", "Skirts"]}),
        ({"category": "T/O"}, {"category": ["T/O"]}),
        *(
            ({"updated_at": epoch}, {"updated_at": "2026-01-31T09:30:00.250Z"})
            for epoch in (1769851800250, "1769851800250", 1769851800.25, "1769851800.25")
        ),
        ({"created_at": 1769851800}, {"created_at": "2026-01-31T09:30:00Z"}),
        ({"created_at": "2026-01-31 09:30:00.123456+00"}, {"created_at": "2026-01-31T09:30:00.123456Z"}),
        ({"price": None, "currency": None}, {"price": None, "currency": "XXX"}),
        ({"price": 0, "currency": None}, {"price": 0, "currency": "XXX"}),
        ({"price": "0"}, {"price": 0}),
    ],
)
def test_a_value_with_one_meaning_is_accepted(given: dict[str, Any], meant: dict[str, Any]) -> None:
    """In the forms that databases and spreadsheets write; the event's version is the same too."""
    listing = parse_listing(make_event(**given), now=NOW)
    assert listing == parse_listing(make_event(**meant), now=NOW)
    assert event_version(listing) == event_version(make_listing(**meant))


@pytest.mark.parametrize("price", [0, None])
def test_what_is_free_or_has_no_price_is_offered_without_a_step(price: int | None) -> None:
    """So it is in no price band."""
    source = make_document(price=price).to_source()
    assert source["offer"] == "on_sale|JPY|unpriced"
    assert source.get("price") == price


def test_an_attribute_may_be_a_list() -> None:
    """Stored as it is, with whole numbers and booleans."""
    listing = make_listing(attributes={"size": ["M", "L"], "eu": [40, 42.5], "new": [True]})
    assert listing.attributes == {"size": ("M", "L"), "eu": (40, 42.5), "new": (True,)}
    assert listing.to_event()["attributes"]["size"] == ["M", "L"]
    assert make_document(attributes={"size": ["M", "L"]}).to_source()["attributes"] == {"size": ["M", "L"]}


def test_photos_and_attributes_may_be_absent() -> None:
    """A listing without either is one without photos and attributes."""
    event = make_event(images=[], attributes={})
    bare = {name: value for name, value in event.items() if name not in {"images", "attributes"}}
    assert parse_listing(bare) == parse_listing(event)


@pytest.mark.parametrize("event", [None, [], "text", 3])
def test_event_that_is_not_an_object_is_rejected(event: object) -> None:
    """Any other JSON value is rejected."""
    assert reasons(event) == {"event_wrong_type"}


def test_the_error_lists_all_problems_with_id_found_and_expected() -> None:
    """So that a producer can fix all of them at once."""
    with pytest.raises(InvalidListing) as caught:
        parse_listing(make_event(price=-1, status="gone", title="x" * 10_000), now=NOW)
    assert caught.value.reason == "title_too_long"
    assert [problem.field for problem in caught.value.problems] == ["title", "price", "status"]
    message = str(caught.value)
    assert "listing m1" in message
    assert "found -1, expected a number from 0 up" in message
    assert "found 'gone', expected 'on_sale', 'reserved', 'sold_out' or 'removed'" in message
    assert len(message) < 500


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        *(
            (text, "2026-02-01T03:00:00.000000Z")
            for text in (
                "2026-02-01T03:00:00Z",
                "2026-02-01t03:00:00z",
                "2026-02-01 03:00:00 UTC",
                "2026-02-01 03:00 GMT",
                "2026-02-01 12:00:00+09",
                "2026-02-01 12:00:00+0900",
                "2026-02-01 12:00:00 +0900",
                "2026-02-01 12:00:00 +09:00",
                "2026-01-31 19:00:00-08",
                "2026-02-01T08:30:00+05:30",
                "2026/02/01 12:00:00+09:00",
                "2026/02/01 03:00 UTC",
                "  2026-02-01T03:00:00Z ",
            )
        ),
        ("2026-02-01 03:00:00.123456 UTC", "2026-02-01T03:00:00.123456Z"),
        ("2026-02-01T03:00:00,5Z", "2026-02-01T03:00:00.500000Z"),
        ("2026-02-01T03:00:00.123456789Z", "2026-02-01T03:00:00.123456Z"),
    ],
)
def test_dates_are_read_as_databases_write_them(text: str, moment: str) -> None:
    """Postgres, BigQuery, Snowflake and pandas; each is an unambiguous instant."""
    assert isoformat(parse_listing(make_event(updated_at=text), now=NOW).updated_at) == moment


@pytest.mark.parametrize(
    ("value", "reason", "words"),
    [
        *((day, "no_timezone", "a time and a time zone too") for day in ("2026-02-01", "2026/2/1")),
        *(
            (text, "no_timezone", "a time zone too")
            for text in ("2026-02-01T03:00:00", "2026/02/01 3:00", "2026-02-01 03:00:00.5")
        ),
        *(
            (text, "malformed", "a date such as 2026-01-31T09:30:00Z")
            for text in (
                "2026-02-01 03:00 JST",
                "2026-02-01T03:00:00+09:00[Asia/Tokyo]",
                "Sun, 01 Feb 2026 03:00:00 GMT",
                "01/02/2026 03:00",
                "2026-W05-7",
                "2026-02-01T24:00:00Z",
                "2026-02-01T03:00:60Z",
                "2026-02-30 03:00 UTC",
                "2026-02/01 03:00 UTC",
                "2026-02-01 03:00:00+25",
                "２０２６-02-01T03:00:00Z",
                "NULL",
            )
        ),
        *(
            (value, "wrong_type", "a date as text")
            for value in (17935, "17935000000", "1.7935E+12", "", " ", True, [], "45234.5")
        ),
    ],
)
def test_an_ambiguous_date_is_rejected_with_the_expected_form(value: object, reason: str, words: str) -> None:
    """Time zone, time of day, and the order of day and month are never guessed."""
    with pytest.raises(InvalidListing) as caught:
        parse_listing(make_event(updated_at=value), now=NOW)
    (problem,) = caught.value.problems
    assert problem.reason == f"updated_at_{reason}"
    assert words in problem.expected


def test_clock_skew_of_a_producer_is_accepted() -> None:
    """A date slightly in the future is accepted, a later one is not."""
    ahead = isoformat(NOW + CLOCK_SKEW)
    assert parse_listing(make_event(updated_at=ahead), now=NOW).updated_at == NOW + CLOCK_SKEW


def test_whole_number_beyond_64_bits_is_kept_as_a_float() -> None:
    """JSON allows such numbers; the canonical form of an event must not fail for them."""
    listing = make_listing(attributes={"n": 10**30})
    assert listing.attributes == {"n": 1e30}
    assert event_version(listing) > 0


def test_unknown_field_is_ignored() -> None:
    """A producer may send more fields than are stored."""
    assert "shipping" not in parse_listing(make_event(shipping="free"), now=NOW).to_event()


def test_the_json_schema_accepts_canonical_events() -> None:
    """With and without what may be absent."""
    schema = Draft202012Validator(listing_schema())
    for changes in (
        {},
        {"attributes": {"size": ["M", 40, True], "n": 1.5}},
        {"price": 0, "currency": None},
        {"price": None},
    ):
        schema.validate(make_listing(**changes).to_event())


@pytest.mark.parametrize(
    "changes",
    [
        *({name: None} for name, info in Listing.model_fields.items() if info.is_required()),
        {"item_id": "a\nb"},
        {"title": ""},
        {"category": list("abcdef")},
        {"category": ["A > B"]},
        {"price": 0.001},
        {"price": -1},
        {"currency": "yen"},
        {"status": "gone"},
        {"images": ["x"] * 21},
        {"attributes": {"a.b": "c"}},
        {"attributes": {"a": {}}},
    ],
)
def test_the_json_schema_refuses_what_the_model_refuses(changes: dict[str, Any]) -> None:
    """So a producer finds the error before it sends an event."""
    event = {name: value for name, value in make_event(**changes).items() if value is not None}
    assert not Draft202012Validator(listing_schema()).is_valid(event)


instants = st.datetimes(
    datetime(1970, 1, 3),
    datetime(2100, 1, 1),
    timezones=st.just(UTC),
)


@given(instants, instants, st.sampled_from(Status), st.sampled_from(Status))
def test_version_orders_by_time_then_by_status(
    first: datetime, second: datetime, one: Status, other: Status
) -> None:
    """A later event has the larger version, to the microsecond; at one instant the end of a sale wins."""
    listing = make_listing()
    a = listing.model_copy(update={"updated_at": first, "status": one})
    b = listing.model_copy(update={"updated_at": second, "status": other})
    order = list(Status)
    if (first, order.index(one)) < (second, order.index(other)):
        assert event_version(a) < event_version(b)
    assert 0 < event_version(a) < 2**63


def test_version_of_the_same_event_is_the_same_and_differs_by_content() -> None:
    """Equal events have one version; different ones at the same instant have an order."""
    assert event_version(make_listing()) == event_version(
        make_listing(updated_at="2026-01-02T18:00:00+09:00")
    )
    assert event_version(make_listing()) != event_version(make_listing(price=1300))


def test_version_has_a_resolution_of_microseconds() -> None:
    """Two updates within one millisecond keep their order."""
    early = make_listing(updated_at="2026-01-02T09:00:00.000001Z", status="removed")
    late = make_listing(updated_at="2026-01-02T09:00:00.000002Z")
    assert event_version(early) < event_version(late)


def test_isoformat_sorts_as_text_in_the_order_of_time() -> None:
    """Whole seconds are written with microseconds too."""
    whole = datetime(2026, 1, 1, tzinfo=UTC)
    assert isoformat(whole) == "2026-01-01T00:00:00.000000Z"
    assert isoformat(whole) < isoformat(whole + timedelta(microseconds=1))


def test_category_paths_are_every_prefix() -> None:
    """A filter on any level of the path finds the listing."""
    assert category_paths(("Apparel", "Skirts")) == ("Apparel", "Apparel > Skirts")


def test_image_fingerprint_depends_on_photos_and_their_order_alone() -> None:
    """A price change keeps the fingerprint; another first photo does not."""
    assert image_fingerprint(("a", "b")) == image_fingerprint(("a", "b"))
    assert image_fingerprint(("a", "b")) != image_fingerprint(("b", "a"))
    assert image_fingerprint(()) is None


def test_a_fingerprint_says_that_some_photos_could_not_be_used() -> None:
    """Once, however often it is said."""
    whole = image_fingerprint(("a", "b")) or ""

    marked = incomplete(whole)
    assert [is_incomplete(each) for each in (marked, whole, None)] == [True, False, False]
    assert incomplete(marked) == marked
    assert complete(marked) == complete(whole) == whole


def test_document_has_no_absent_fields() -> None:
    """A tombstone's source has neither title nor vector."""
    listing = make_listing(status="removed")
    document = ListingDocument(
        **listing.model_dump(exclude={"title", "images"}),
        title=None,
        images=(),
        image_fingerprint=None,
        image_hash=None,
        photo_problem=None,
        encoder_id="colour-00000001",
        indexed_at=NOW,
        vector=None,
    )
    source = document.to_source()
    assert not {"title", "vector", "image_hash", "photo_problem"} & set(source)
    assert source["status"] == "removed"
    assert source["indexed_at"] == "2026-06-01T00:00:00.000000Z"


def test_a_field_whose_name_is_not_unicode_is_ignored() -> None:
    """Like all unknown fields."""
    assert parse_listing(make_event(**{"\ud800": 1}), now=NOW) == parse_listing(make_event(), now=NOW)


@pytest.mark.parametrize("status", ["on_sale", "removed"])
def test_a_stored_document_is_read_as_it_was_written(status: str) -> None:
    """Equal to the one that was stored, whose fields can be changed as usual."""
    vector = None if status == "removed" else (0.6, 0.8)
    attributes = {"colours": ("Red", "White"), "size": 38}
    document = make_document(status=status, title="靴", vector=vector, attributes=attributes)
    read = ListingDocument.from_source(json.loads(json.dumps(document.to_source())))
    assert read.model_copy(update={"vector": document.vector}) == document
    repriced = document.model_copy(update={"price": 5.0})
    assert (
        read.model_copy(update={"price": 5.0, "vector": document.vector}).to_source() == repriced.to_source()
    )
