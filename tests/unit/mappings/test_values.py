"""Numbers in text, of which only those with one meaning are read."""

from __future__ import annotations

import pytest

from mappings.values import canonical, number


@pytest.mark.parametrize(
    ("text", "price"),
    [
        ("1290", 1290),
        ("12.5", 12.5),
        ("1290.500", 1290.5),
        ("0.125", 0.125),
        ("12.5000", 12.5),
        ("1.29e3", 1290),
        ("+5", 5),
        *((text, text) for text in ("1,290", "1,234,567", "1,290.50", "1,29", "1.290", "12.345", "1.290,50")),
        *((text, text) for text in ("1,2900", "1 290", "1_290", "¥1290", "1290 JPY", "0,290", "12,90,000")),
        *((text, text) for text in ("", "cheap", "１２９０", "0x10")),
    ],
)
def test_an_unambiguous_number_is_read(text: str, price: object) -> None:
    """In many European countries 1.290 is one thousand two hundred and ninety, and 1,290 is 1.29."""
    assert number(text) == price


def test_three_decimals_are_unambiguous_in_some_currencies() -> None:
    """A Kuwaiti dinar has a thousand fils."""
    assert canonical({"price": "1.290", "currency": "kwd"})["price"] == 1.29
    assert canonical({"price": "1.290", "currency": "JPY"})["price"] == "1.290"


def test_nesting_has_no_limit() -> None:
    """Nulls are left out of an attribute's list; the validation rejects what is deeper."""
    deep: dict[str, object] = {}
    for _ in range(5_000):
        deep = {"a": deep}
    event = canonical({"attributes": {"a": [None, "b"], "deep": deep}})
    assert event["attributes"]["a"] == ["b"]
    assert event["attributes"]["deep"] is deep


def test_values_in_the_form_of_the_schema_are_not_changed() -> None:
    """So that an event may be converted any number of times."""
    event = {"price": "7", "currency": "jpy", "category": "A > B", "images": "a|b", "created_at": 1769851800}
    once = canonical(event)
    assert canonical(once) == once
