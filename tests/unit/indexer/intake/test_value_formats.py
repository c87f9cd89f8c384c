"""Numbers, times and lists whose meaning an option decides."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from indexer.intake.listing_map import ListingMap
from indexer.intake.value_formats import ValueFormats, local_number, local_time
from mappings.errors import InvalidListing
from mappings.listing import Listing, parse_listing
from tests.factories import make_event, make_listing


def read(formats: dict[str, str], **changes: Any) -> Listing:
    """Return the listing of an event with these formats."""
    rules = ListingMap(formats=ValueFormats.model_validate(formats))
    return parse_listing(rules.event_of(make_event(**changes)))


@pytest.mark.parametrize(
    ("text", "locale", "number"),
    [
        ("1290", "en", 1290),
        ("1,290", "en", 1290),
        ("1,290", "ja", 1290),
        ("1,290.50", "en", 1290.5),
        ("1.290", "en", 1.29),
        ("1.290,50", "de", 1290.5),
        ("1,290", "de", 1.29),
        ("1.290", "de", 1290),
        ("1,29", "de", 1.29),
        ("1 290,50", "fr", 1290.5),
        ("1\u202f290,50", "fr", 1290.5),
        ("1'290.50", "de-CH", 1290.5),
        ("12,90,000", "hi-IN", 1290000),
        ("-5", "en", -5),
    ],
)
def test_a_locale_decides_between_thousands_and_decimals(text: str, locale: str, number: float) -> None:
    """By the rules of the Unicode CLDR."""
    formats = ValueFormats(locale=locale)
    assert formats.locale is not None
    assert local_number(text, formats.locale) == number


@pytest.mark.parametrize(
    ("text", "locale"), [("1,29", "en"), ("12.90", "de"), ("1,2345", "en"), ("1.2.3", "en")]
)
def test_a_number_of_another_locale_is_rejected(text: str, locale: str) -> None:
    """Rather than read by other rules than the rows beside it."""
    with pytest.raises(InvalidListing, match=f"found '{text} .no number in the locale {locale}.'"):
        read({"locale": locale}, price=text)


def test_what_is_no_text_or_has_units_is_left_alone() -> None:
    """A number needs no locale, and a unit may mean another currency."""
    assert local_number(12.5, "de") == 12.5
    assert local_number("1290円", "ja") == "1290円"
    assert local_number("1e5", "en") == "1e5"
    assert local_number("1_290", "en") == "1_290"


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-01-31 18:30:00", "2026-01-31T18:30:00+09:00"),
        ("2026-01-31T18:30", "2026-01-31T18:30:00+09:00"),
        (" 2026/1/31 9:30:00.123456789 ", "2026-01-31T09:30:00.123456+09:00"),
        ("2026-01-31 18:30:00Z", "2026-01-31 18:30:00Z"),
        ("2026-01-31", "2026-01-31"),
        ("31/01/2026 18:30", "31/01/2026 18:30"),
        ("2026-02-30 18:30", "2026-02-30 18:30"),
        ("2026-01/31 18:30", "2026-01/31 18:30"),
    ],
)
def test_a_time_zone_is_for_local_times_alone(text: str, instant: str) -> None:
    """A day has no time, and a time with a zone keeps its own."""
    assert local_time(text, "Asia/Tokyo") == instant


@pytest.mark.parametrize("text", ["2026-03-08 02:30:00", "2026-11-01 01:30:00"])
def test_a_time_that_a_change_of_clocks_skips_or_repeats_is_rejected(text: str) -> None:
    """It is no instant, or two."""
    with pytest.raises(InvalidListing, match="expected a time zone too"):
        read({"timezone": "America/New_York"}, created_at=text)
    assert read({"timezone": "Asia/Tokyo"}, created_at=text.replace("11-", "03-"))


def test_separators_of_levels_and_photos() -> None:
    """A level that has the usual separator is still rejected."""
    slash = {"category_separator": "/", "image_separator": ","}
    listing = read(slash, category="Apparel / Skirts", images="a.jpg, b.jpg")
    assert (listing.category, listing.images) == (("Apparel", "Skirts"), ("a.jpg", "b.jpg"))
    assert read({}, category="T/O > A").category == ("T/O", "A")
    with pytest.raises(InvalidListing, match="expected a name without '>'"):
        read(slash, category="A > B")


def test_values_that_need_no_format_are_not_changed() -> None:
    """With every format given."""
    formats = {"locale": "de", "timezone": "Asia/Tokyo", "category_separator": "/", "image_separator": ","}
    assert read(formats) == make_listing()


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("encoding", "nothing", "cp932"),
        ("locale", "klingon", "a locale such as de"),
        ("timezone", "Mars/Olympus", "a time zone such as Asia/Tokyo"),
        ("timezone", "../../etc/passwd", "a time zone such as Asia/Tokyo"),
    ],
)
def test_an_unknown_format_is_refused(name: str, value: str, expected: str) -> None:
    """With an example of one."""
    with pytest.raises(ValidationError, match=expected):
        ValueFormats.model_validate({name: value})
