"""The page of the listing schema."""

from __future__ import annotations

import json
import re

import pytest

from docs.listing_schema import PAGE, page_with_tables, table, table_of_operations
from mappings.changes import OPERATIONS, parse_event
from mappings.errors import InvalidListing
from mappings.listing import Listing, parse_listing
from mappings.remedies import remedy


def test_the_page_has_the_table_of_the_model() -> None:
    """If this fails, run `python -m docs.listing_schema`."""
    page = PAGE.read_text(encoding="utf-8")
    assert page_with_tables(page) == page


def test_each_field_has_a_row_with_its_form_and_meaning() -> None:
    """No cell is empty but that of what is not required."""
    rows = [re.split(r"(?<!\\) \| ", line.strip("| ")) for line in table().splitlines()[2:]]
    assert [row[0] for row in rows] == [f"`{name}`" for name in Listing.model_fields]
    assert all(len(row) == 4 and row[2] and row[3].endswith(".") for row in rows)
    assert "| `title` | yes | text of 1 to 1,000 characters |" in table()
    assert "| `price` |  | 0, or number from 0.01 to 1e12 |" in table()


def test_each_operation_has_a_row() -> None:
    """Those that an event may have, and that the error for another one lists."""
    with pytest.raises(InvalidListing, match="expected put, update, remove or refresh"):
        parse_event({"op": "sell", "item_id": "m1"})
    rows = table_of_operations().splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == [*OPERATIONS]
    assert remedy("op_unknown").startswith("Give put, update, remove or refresh")


def test_the_example_is_a_listing() -> None:
    """As it is shown."""
    example = re.search(r"```json\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert example is not None
    assert parse_listing(json.loads(example[1])).attributes["colour"] == ("Red", "White")
