"""Conversion of columns with text to the fields of an event."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.intake.columns import IMAGE_SEPARATOR, event_of, number, parts
from mappings.errors import InvalidListing
from mappings.listing import parse_listing
from tests.factories import make_event


@pytest.mark.parametrize(
    ("text", "price"),
    [
        ("1290", 1290),
        ("12.5", 12.5),
        ("1,290", 1290),
        ("1,234,567", 1234567),
        ("1,290.50", 1290.5),
        ("1290.500", 1290.5),
        ("0.125", 0.125),
        ("12.5000", 12.5),
        ("1.29e3", 1290),
        ("+5", 5),
        *(
            (text, text)
            for text in ("1,29", "1.290", "12.345", "1.290,50", "1,2900", "1 290", "1_290", "¥1290")
        ),
        *((text, text) for text in ("1290 JPY", "0,290", "12,90,000", "", "cheap", "１２９０", "0x10")),
    ],
)
def test_an_unambiguous_number_is_read(text: str, price: object) -> None:
    """In many European countries 1.290 is one thousand two hundred and ninety."""
    assert number(text) == price


def test_three_decimals_are_unambiguous_in_some_currencies() -> None:
    """A Kuwaiti dinar has a thousand fils."""
    assert event_of({"price": "1.290", "currency": "KWD"})["price"] == 1.29
    assert event_of({"price": "1.290", "currency": "JPY"})["price"] == "1.290"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("['Footwear', 'Shoes']", ["Footwear", "Shoes"]),
        ("('Footwear', 'Shoes')", ["Footwear", "Shoes"]),
        ("('Footwear',)", ["Footwear"]),
        ("""["Men's", 'a "b"']""", ["Men's", 'a "b"']),
        ('["Footwear","Shoes"]', ["Footwear", "Shoes"]),
        ("Footwear|Shoes", ["Footwear", "Shoes"]),
        ("[]", []),
        ("[Sale]", ["[Sale]"]),
        ("(old)|[new]", ["(old)", "[new]"]),
        *(
            (text, text)
            for text in ("['a' 'b']", "['a'\n 'b']", "['a', None, 'b']", "['a', ['b']]", "['a'+'b']")
        ),
    ],
)
def test_lists_are_read_as_pandas_and_json_write_them(text: str, found: object) -> None:
    """Text that only looks like a list, as NumPy writes it, is left to the validation."""
    assert parts(text, IMAGE_SEPARATOR) == found


@settings(deadline=None)
@given(st.lists(st.text()))
def test_lists_written_by_pandas_are_read(values: list[str]) -> None:
    """With any text in the list."""
    assert parts(str(values), IMAGE_SEPARATOR) == values


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"category": "['a' 'b']"}, "expected a list such as"),
        ({"images": "['a' 'b']"}, "expected a list such as"),
        ({"price": "1,29"}, "found '1,29', expected a number such as 1290 or 12.5"),
        ({"price": "1.290"}, "found '1.290', expected a number such as 1290 or 12.5"),
        ({"attributes": "colour=Red"}, "attributes: found 'colour=Red'"),
    ],
)
def test_an_ambiguous_value_is_rejected_with_the_expected_form(fields: dict[str, Any], words: str) -> None:
    """By the validation of the listing, as for an event in JSON."""
    with pytest.raises(InvalidListing, match=words):
        parse_listing(make_event() | event_of({"currency": "JPY"} | fields))


def test_attributes_of_several_columns_are_merged() -> None:
    """Those of a JSON column and those of separate columns, whose text is kept as it is."""
    fields = {"attributes": '{"size": "M"}', "attributes.colour": " Red ", "title": " t "}

    assert event_of(fields) == {"attributes": {"size": "M", "colour": " Red "}, "title": "t", "images": []}


def test_a_popularity_is_read_like_a_price() -> None:
    """What is ambiguous stays text, which the validation rejects."""
    assert event_of({"popularity": "1,290"})["popularity"] == 1290
    assert event_of({"popularity": "1.290"})["popularity"] == "1.290"
