"""Conversion of columns with text to the fields of an event."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.intake.columns import listed
from indexer.intake.listing_map import NO_MAP
from mappings.errors import InvalidListing
from mappings.listing import parse_listing
from tests.factories import make_event


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("['Footwear', 'Shoes']", ["Footwear", "Shoes"]),
        ("('Footwear', 'Shoes')", ["Footwear", "Shoes"]),
        ("('Footwear',)", ["Footwear"]),
        ("""["Men's", 'a "b"']""", ["Men's", 'a "b"']),
        ('["Footwear","Shoes"]', ["Footwear", "Shoes"]),
        ("Footwear|Shoes", "Footwear|Shoes"),
        ("[]", []),
        ("[Sale]", "[Sale]"),
        ("(old)|[new]", "(old)|[new]"),
        *(
            (text, text)
            for text in ("['a' 'b']", "['a'\n 'b']", "['a', None, 'b']", "['a', ['b']]", "['a'+'b']")
        ),
    ],
)
def test_lists_are_read_as_pandas_and_json_write_them(text: str, found: object) -> None:
    """Text that only looks like a list, as NumPy writes it, is left to the validation."""
    assert listed(text) == found


@settings(deadline=None)
@given(st.lists(st.text()))
def test_lists_written_by_pandas_are_read(values: list[str]) -> None:
    """With any text in the list."""
    assert listed(str(values)) == values


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
        parse_listing(make_event() | NO_MAP.event_of({"currency": "JPY"} | fields))


def test_attributes_of_several_columns_are_merged() -> None:
    """Those of a JSON column and those of separate columns, whose text is kept as it is."""
    fields = {"attributes": '{"size": "M"}', "attributes.colour": " Red ", "title": " t "}

    event = NO_MAP.event_of(fields)
    assert event == {
        "attributes": {"size": "M", "colour": " Red "},
        "title": "t",
    }
