"""Maps of a producer's columns and words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from indexer.errors import UnreadableFile
from indexer.intake.files import checked, read_rows
from indexer.intake.listing_map import InvalidMap, ListingMap
from mappings.listing import Listing, parse_listing

SHOP = """
[columns]
"商品ID" = "item_id"
"商品名" = "title"
"カテゴリ" = "category"
"価格" = "price"
"状態" = "status"
"登録日時" = "created_at"
"更新日時" = "updated_at"
"色" = "attributes.colour"
"title" = "ignore"

[status]
"販売中" = "on_sale"
"売り切れ" = "sold_out"

[constants]
currency = "JPY"
seller_id = "shop"

[templates]
images = "https://shop.example/photos/{写真番号}/{item_id}.jpg"

[formats]
category_separator = "/"
locale = "ja"
timezone = "Asia/Tokyo"
"""
CSV = """商品ID,商品名,カテゴリ,価格,状態,登録日時,更新日時,色,写真番号,title
A 1/2,赤いスカート,ファッション/スカート,"1,290",販売中,2026/01/01 9:00,2026/01/02 9:00,赤,7,other
B,青い靴,ファッション/靴,0,売り切れ,2026/01/01 9:00,2026/01/02 9:00,,,
"""


def loaded(folder: Path, text: str) -> ListingMap:
    """Return the map with that text."""
    (folder / "map.toml").write_text(text, encoding="utf-8")
    return ListingMap.load(folder / "map.toml")


def listings(file: Path, rules: ListingMap) -> list[Listing]:
    """Return the listings of a file that has no other rows."""
    checked(file, rules)
    return [parse_listing(row.event) for row in read_rows(file, file.parent, rules)]


@pytest.mark.parametrize("encoding", ["utf-8", "cp932"])
def test_a_japanese_table_is_read_by_its_map(tmp_path: Path, encoding: str) -> None:
    """Columns, status words, constants, a photo URL from other columns, formats."""
    (tmp_path / "a.csv").write_text(CSV, encoding=encoding)
    skirt, shoes = listings(tmp_path / "a.csv", loaded(tmp_path, SHOP))

    assert (skirt.item_id, skirt.title, skirt.price, skirt.currency) == ("A 1/2", "赤いスカート", 1290, "JPY")
    assert (skirt.category, skirt.status, skirt.seller_id) == (
        ("ファッション", "スカート"),
        "on_sale",
        "shop",
    )
    assert skirt.updated_at.isoformat() == "2026-01-02T09:00:00+09:00"
    assert skirt.images == ("https://shop.example/photos/7/A%201%2F2.jpg",)
    assert skirt.attributes == {"colour": "赤"}
    assert (shoes.price, shoes.status, shoes.images, shoes.attributes) == (0, "sold_out", (), {})


def test_json_is_read_by_the_same_map(tmp_path: Path) -> None:
    """With values in nested objects and status words that are numbers."""
    rules = loaded(
        tmp_path,
        """
        [columns]
        id = "item_id"
        "price.amount" = "price"
        "price.unit" = "currency"
        "seller.id" = "seller_id"
        state = "status"
        [status]
        1 = "on_sale"
        true = "on_sale"
        [constants]
        category = ["Other"]
        created_at = "2026-01-01T00:00:00Z"
        """,
    )
    event: dict[str, Any] = {"id": 7, "title": "t", "price": {"amount": "12.5", "unit": "eur"}, "state": 1}
    event |= {"updated_at": 1769851800, "seller": {"id": 3}}
    rows = [event, event | {"state": True, "seller": None, "category": ["Shoes"]}]
    (tmp_path / "a.json").write_text(json.dumps(rows))

    first, second = (row.event for row in read_rows(tmp_path / "a.json", tmp_path, rules))
    listing = parse_listing(first)
    assert (listing.item_id, listing.price, listing.currency) == ("7", 12.5, "EUR")
    assert (listing.seller_id, listing.category, listing.status) == ("3", ("Other",), "on_sale")
    assert second is not None
    assert second["category"] == ["Shoes"]
    assert "seller_id" not in second


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (CSV.replace("価格", "値段"), "missing column 価格 of the map: the header is '商品ID"),
        (CSV.replace("商品ID,", "商品ID,"), ""),
        (CSV.replace("写真番号,title", "PRICE,title"), ""),  # the map's own column is the one that counts
        (CSV.replace("写真番号,title", "色,title"), "repeated column attributes.colour"),
    ],
)
def test_columns_must_fit_the_map(tmp_path: Path, header: str, words: str) -> None:
    """A typing error in a map is not found out row by row."""
    (tmp_path / "a.csv").write_text(header)
    if words:
        with pytest.raises(UnreadableFile, match=words):
            checked(tmp_path / "a.csv", loaded(tmp_path, SHOP))
    else:
        assert listings(tmp_path / "a.csv", loaded(tmp_path, SHOP))[0].price == 1290


def test_a_missing_column_proposes_a_map(tmp_path: Path) -> None:
    """Without one, other names are unknown."""
    (tmp_path / "a.csv").write_text(CSV)
    with pytest.raises(UnreadableFile, match=r"missing columns item_id, category.*--guess proposes a map"):
        checked(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "[columns]\nx = 'prise'",
            r"columns.x: found 'prise', expected a field of a listing: item_id, title",
        ),
        ("[status]\nx = 'sold'", r"status.x: found 'sold', expected 'on_sale', 'reserved'"),
        ("[constants]\nprise = 1", r"constants: found 'prise', expected a field of a listing"),
        ("[formats]\ntimezone = 'Mars'", r"formats.timezone: found 'Mars', expected a time zone such as"),
        ("[colums]\nx = 'price'", r"Unknown field `colums`. Allowed: columns, status, constants"),
        ("[columns\n", r"map.toml: .*line 1"),
    ],
)
def test_a_map_that_cannot_be_used_says_where_it_is_wrong(tmp_path: Path, text: str, words: str) -> None:
    """With what is expected there."""
    with pytest.raises(InvalidMap, match=words):
        loaded(tmp_path, text)


def test_templates_reach_nothing_but_values(tmp_path: Path) -> None:
    """Their braces are no Python."""
    rules = loaded(tmp_path, '[templates]\ntitle = "{item_id.__class__} {item_id}"\nimages = "p/{a b}.jpg"')
    assert rules.event_of({"item_id": "x", "title": "t", "a b": "n/1"}) == {
        "item_id": "x",
        "images": ["p/n/1.jpg"],
        "a b": "n/1",
    }
