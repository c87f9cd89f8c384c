"""Proposed maps."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from indexer.errors import UnreadableSource
from indexer.intake.files import checked, read_rows
from indexer.intake.guess import NAMES, WORDS, guessed_map, plain, status_of
from indexer.intake.listing_map import NO_MAP, ListingMap
from indexer.intake.sources.local import FileSource
from mappings.listing import parse_listing
from tests.factories import make_event
from tests.unit.indexer.intake.test_listing_map import CSV

HEADER = ["SKU", "Product Name", "Category Path", "Sale Price", "Currency Code", "Vendor", "State", "Created"]
HEADER += ["Last Modified", "Image URL", "Color"]
TIMES = ["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"]
SKIRT = ["1", "Red skirt", "Apparel/Skirts", "12.50", "EUR", "v1", "Active"]
SKIRT += [*TIMES, "https://a.example/1.jpg", "Red"]
SHOES = ["2", "Blue shoes", "Apparel/Shoes", "8", "EUR", "v1", "Out of stock", *TIMES, "", "Blue"]
ENGLISH = "".join("\t".join(row) + "\n" for row in (HEADER, SKIRT, SHOES))


def guessed(file: Path) -> ListingMap:
    """Return the proposed map as `--map` reads it."""
    text = guessed_map(FileSource.at(file, None, NO_MAP))
    (file.parent / "map.toml").write_text(text, encoding="utf-8")
    return ListingMap.load(file.parent / "map.toml")


def test_an_english_table_is_read_by_the_proposed_map(tmp_path: Path) -> None:
    """Without a change, where every column has a name that is known."""
    file = tmp_path / "a.tsv"
    file.write_text(ENGLISH)
    rules = guessed(file)
    assert checked(file, rules).rows == 3
    skirt, shoes = (parse_listing(row.event) for row in read_rows(file, tmp_path, rules))
    assert (skirt.item_id, skirt.category, skirt.price) == ("1", ("Apparel", "Skirts"), 12.5)
    assert (skirt.status, shoes.status) == ("on_sale", "sold_out")
    assert (skirt.attributes, skirt.images) == ({"colour": "Red"}, ("https://a.example/1.jpg",))


def test_a_japanese_table_has_a_proposal_and_what_is_left_to_decide(tmp_path: Path) -> None:
    """What a person must know is a comment: currency, seller, locale, time zone."""
    file = tmp_path / "a.csv"
    file.write_text(CSV, encoding="cp932")
    text = guessed_map(FileSource.at(file, None, NO_MAP))
    found = tomllib.loads(text)
    assert found["columns"] | {"商品ID": "item_id", "色": "attributes.colour"} == found["columns"]
    assert found["status"] == {"販売中": "on_sale", "売り切れ": "sold_out"}
    assert found["formats"] == {"category_separator": "/"}
    assert found["constants"] == {}
    for line in (
        '# currency = "JPY"  # no column was found',
        '# seller_id = "shop"',
        '# timezone = "Asia/Tokyo"',
        '# locale = "en"',
        '# "写真番号" = "attributes.写真番号"  # 7',
    ):
        assert line in text


def test_a_file_of_listings_needs_no_map(tmp_path: Path) -> None:
    """Nothing is mapped."""
    file = tmp_path / "a.jsonl"
    file.write_text(json.dumps(make_event()))
    rules = guessed(file)
    assert (rules.columns, rules.status, rules.constants) == ({}, {}, {})
    (row,) = read_rows(file, tmp_path, rules)
    assert row.event == make_event(images=[str(tmp_path / "images" / "m1.jpg")])


def test_any_column_and_word_gives_a_map_that_can_be_read(tmp_path: Path) -> None:
    """Quotes, backslashes, points and control characters in names and values."""
    file = tmp_path / "a.json"
    names = ['a"b', "c\\d", "e.f", "g\nh", "i\x7f", "[columns]", "#", "状態"]
    file.write_text(json.dumps([{name: f"{name}\u2028\x00" for name in names}]))
    rules = guessed(file)
    assert rules.columns == {"状態": "status"}


def test_a_file_without_rows_has_no_proposal(tmp_path: Path) -> None:
    """With what to try."""
    (tmp_path / "a.csv").write_text("")
    with pytest.raises(UnreadableSource, match="no row in the first 500 can be read"):
        guessed_map(FileSource.at(tmp_path / "a.csv", None, NO_MAP))


def test_known_names_and_words_are_in_the_form_in_which_they_are_compared() -> None:
    """Otherwise none would ever be found; and no word stands for two statuses."""
    words = [word for each in WORDS.values() for word in each.split()]
    assert [word for each in NAMES.values() for word in each.split() if plain(word) != word] == []
    assert [word for word in words if plain(word) != word] == []
    assert len(words) == len(set(words))
    assert status_of("ＯＮ sale") == "on_sale"
    assert status_of("maybe") is None
