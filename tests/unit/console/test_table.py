"""Tables of commands."""

from __future__ import annotations

from console.counts import by_name, count_of
from console.rejected import rejected_table
from console.table import table


def test_columns_are_aligned_whatever_the_width_of_characters() -> None:
    """A Japanese character is as wide as two others."""
    rows = [["m1", "革のバッグ", "1,200"], ["m100", "Bag", "9"]]
    assert table(["ITEM", "TITLE", "PRICE"], rows, right=["PRICE"]).splitlines() == [
        "ITEM    TITLE         PRICE",
        "m1      革のバッグ    1,200",
        "m100    Bag               9",
    ]


def test_text_that_looks_like_a_number_is_kept() -> None:
    """Ids have leading zeros."""
    assert table(["ID"], [["007"], ["1e3"]]).splitlines() == ["ID", "007", "1e3"]


def test_a_table_without_rows_is_its_head() -> None:
    """As in a pipe that counts lines."""
    assert table(["A", "B"], []) == "A    B"


def test_a_long_detail_of_a_rejected_listing_is_cut() -> None:
    """On one line, without its line breaks."""
    entry = {"failed_at": "2026-01-02T03:04:05.678", "reason": "no_photo", "detail": "a\nb " + "x" * 200}
    head, row = rejected_table([entry], "item_id").splitlines()
    assert head.split("  ")[0] == "REJECTED AT"
    assert row.startswith("2026-01-02T03:04:05Z")
    assert row.endswith("  a b " + "x" * 155 + "…")


def test_counts_agree_with_their_nouns() -> None:
    """One listing, other numbers of listings."""
    assert [count_of(count, "listing") for count in (0, 1, 1200)] == [
        "0 listings",
        "1 listing",
        "1,200 listings",
    ]
    assert by_name({"tap": 2, "purchase": 1}) == "1 purchase, 2 tap"
    assert by_name({}) == "none"
