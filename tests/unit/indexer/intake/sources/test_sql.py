"""Queries as sources, on SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from indexer.errors import UnreadableSource
from indexer.intake.listing_map import NO_MAP, ListingMap
from indexer.intake.sources import sql
from indexer.intake.sources.sql import Since, SqlSource
from indexer.intake.sources.sql_url import database_url, masked
from mappings.listing import parse_listing
from settings.errors import InvalidSetting

QUERY = """
SELECT id AS item_id, title, 'Apparel > Skirts' AS category, price, 'JPY' AS currency, 's1' AS seller_id,
       status, created_at, updated_at, photo AS images, weight
FROM items WHERE title <> 'at 10:30 100%' ; """


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A database with a table of three items."""
    connection = sqlite3.connect(tmp_path / "shop.db")
    connection.execute(
        "CREATE TABLE items (id INTEGER, title, price, status, created_at, updated_at, photo, weight)"
    )
    for number in range(1, 4):
        add(connection, number)
    yield connection
    connection.close()


def add(connection: sqlite3.Connection, number: int, **changes: Any) -> None:
    """Add an item; it is updated at the minute of its number."""
    time = f"2026-01-01T00:0{number}:00Z"
    values = {"title": f"Skirt {number}", "price": "12.50", "status": "on_sale", "time": time} | changes
    connection.execute(
        "INSERT INTO items VALUES (:id, :title, :price, :status, :time, :time, 'a.jpg', 1)",
        {"id": number, **values},
    )
    connection.commit()


def source(folder: Path, query: str = QUERY, **options: Any) -> SqlSource:
    """Return the query as a source."""
    return SqlSource(database_url(f"sqlite:///{folder}/shop.db", {}), query, **options)


def test_rows_become_events_as_those_of_files_do(shop: sqlite3.Connection, tmp_path: Path) -> None:
    """By the names of columns, with numbers as ids, locations, and photos below the root."""
    add(shop, 4, title="", price="12,5")
    reading = source(tmp_path, root=tmp_path / "photos")
    reading.check(NO_MAP)
    first, *_, last = reading.read(NO_MAP)

    listing = parse_listing(first.event)
    assert (listing.item_id, listing.title, listing.price) == ("1", "Skirt 1", 12.5)
    assert listing.category == ("Apparel", "Skirts")
    assert listing.images == (f"{tmp_path}/photos/a.jpg",)
    assert (first.location, last.location) == ("query row 1", "query row 4")
    assert first.event is not None
    assert "weight" not in first.event


def test_a_map_names_the_columns_of_a_query(shop: sqlite3.Connection, tmp_path: Path) -> None:
    """And the photos stay relative without a root: the worker looks below its own."""
    rules = ListingMap(
        columns={"id": "item_id", "photo": "images", "weight": "attributes.weight"},
        constants={"category": ["A"], "currency": "JPY", "seller_id": "s"},
    )
    reading = source(tmp_path, "SELECT * FROM items")
    reading.check(rules)
    row = next(reading.read(rules))

    assert row.event is not None
    assert (row.event["item_id"], row.event["images"], row.event["attributes"]) == (
        1,
        ["a.jpg"],
        {"weight": 1},
    )


def test_a_query_without_the_columns_of_a_listing_is_refused(
    shop: sqlite3.Connection, tmp_path: Path
) -> None:
    """Before a row is read, with the columns that it has."""
    with pytest.raises(
        UnreadableSource, match=r"query: missing columns item_id, .* the header is 'id,title'"
    ):
        source(tmp_path, "SELECT id, title FROM items").check(NO_MAP)
    with pytest.raises(UnreadableSource, match="no such column: changed"):
        source(tmp_path, since=Since("changed")).check(NO_MAP)
    # SQLite takes a name in quotes for a text if there is no such column.
    with pytest.raises(UnreadableSource, match="--since Changed: the query has no such column, but item_id"):
        source(tmp_path, since=Since("Changed")).check(NO_MAP)


@pytest.mark.parametrize(
    "query", ["SELECT * FROM other", "SELEC", "SELECT :a, '%s' FROM items", "-- nothing"]
)
def test_a_query_that_fails_is_one_sentence(shop: sqlite3.Connection, tmp_path: Path, query: str) -> None:
    """With what the database says."""
    with pytest.raises(UnreadableSource, match=r"sqlite:///.*/shop.db: ") as caught:
        source(tmp_path, query).check(NO_MAP)
    assert "\n" not in str(caught.value)


def test_rows_are_read_in_parts(
    shop: sqlite3.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that memory is constant: no more than one part is read ahead of the row that is asked for."""
    monkeypatch.setattr(sql, "AT_ONCE", 2)
    endless = "WITH RECURSIVE n(item_id) AS (SELECT 1 UNION ALL SELECT item_id + 1 FROM n) SELECT * FROM n"
    rows = source(tmp_path, endless).read(NO_MAP)
    assert [next(rows).location for _ in range(5)][-1] == "query row 5"
    rows.close()  # type: ignore[attr-defined]  # it is a generator


def test_values_of_databases_are_read(tmp_path: Path) -> None:
    """A whole number of the type NUMERIC is an id; a row that cannot be read is rejected alone."""
    row = sql.row_of({"item_id": Decimal(12), "price": Decimal("12.50")}, "row 1")
    assert row.event == {"item_id": 12, "price": 12.5}
    assert type(row.event["item_id"]) is int
    damaged = sql.row_of({"item_id": "a", "title": b"\xff"}, "row 2")
    assert (damaged.reason, damaged.location) == ("row_unreadable", "row 2")
    assert "item_id: a" in damaged.raw


ENVIRON = {"DB_PASSWORD": "p@ss/w:rd", "DATABASE_URL": "postgres://shop:secret@db/shop"}


@pytest.mark.parametrize(
    ("text", "shown", "password"),
    [
        ("${DATABASE_URL}", "postgresql+psycopg://shop:***@db/shop", "secret"),
        ("postgresql://shop:${DB_PASSWORD}@db/shop", "postgresql+psycopg://shop:***@db/shop", "p@ss/w:rd"),
        ("mysql+pymysql://shop:p%40ss@db/shop", "mysql+pymysql://shop:***@db/shop", "p@ss"),
    ],
)
def test_credentials_come_from_the_environment_and_are_never_shown(
    text: str, shown: str, password: str
) -> None:
    """Of a variable, the password needs no percent-encoding."""
    url = database_url(text, ENVIRON)
    reading = SqlSource(url, "SELECT 1")

    assert (reading.name, url.password) == (shown, password)
    assert password not in repr(reading)
    encoded = url.render_as_string(hide_password=False)
    assert masked(f"no {password} at {encoded}", url) == f"no *** at {shown}"


@pytest.mark.parametrize("text", ["shop:secret@db", "postgresql://shop:secret@db:port/shop", "${NONE}", ""])
def test_a_url_that_cannot_be_read_is_not_repeated(text: str) -> None:
    """It may have a password."""
    with pytest.raises(InvalidSetting) as caught:
        database_url(text, ENVIRON)
    assert "secret" not in str(caught.value)
