"""`nitamono index --sql` from PostgreSQL and SQLite, on real services."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import redis
from click.testing import CliRunner

from cli import main
from indexer.intake.sources.watermarks import Watermarks
from tests.conftest import WorkerFactory, skip_or_fail
from tests.indexing import Shop, ShopFactory, at
from tests.postgres_server import PASSWORD, PostgresServer, find_postgres, postgres_server

QUERY = """
SELECT id AS item_id, title, categories AS category, price, 'JPY' AS currency, seller AS seller_id, status,
       created_at, updated_at, photos AS images, details AS attributes
FROM items WHERE title NOT LIKE '%:draft%' -- none of these
;"""


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL with a table of items."""
    binaries = find_postgres()
    if binaries is None:
        skip_or_fail("PostgreSQL cannot be had: install postgresql")
        return
    with postgres_server(binaries) as server:
        yield server


@pytest.fixture
def shop(shop_of_commands: ShopFactory) -> Shop:
    """A shop whose environment the commands of this process find."""
    return shop_of_commands(SHOP_PASSWORD=PASSWORD)


@pytest.fixture
def items(postgres: PostgresServer, shop: Shop) -> Iterator[Any]:
    """A table of the types that shops have, with a price list of three items."""
    with postgres.connect() as connection:
        connection.execute("DROP TABLE IF EXISTS items")
        connection.execute(
            "CREATE TABLE items (id bigint, title text, categories text[], price numeric(12, 2), "
            "seller uuid, status text, created_at timestamptz, updated_at timestamptz, photos jsonb, "
            "details jsonb)"
        )
        for number in range(1, 4):
            add(connection, shop, number)
        yield connection


def add(connection: Any, shop: Shop, number: int, **changes: Any) -> None:
    """Add an item, which is updated at the minute of its number."""
    values = {"id": number, "minute": at(number), "status": "on_sale"} | changes
    values["photos"] = json.dumps([shop.photo()])
    connection.execute(
        "INSERT INTO items VALUES (%(id)s, 'Skirt', '{Apparel,Skirts}', 12.50, gen_random_uuid(), "
        '%(status)s, %(minute)s, %(minute)s, %(photos)s, \'{"colour": "Red"}\')',
        values,
    )


def index(url: str, *options: str, query: str = QUERY) -> dict[str, Any]:
    """Return the summary of the command, which shows no password."""
    done = CliRunner().invoke(main, ["index", "--sql", url, "--query", query, "--json", *options])
    assert done.exit_code == 0, done.output
    assert PASSWORD not in done.output
    return dict(json.loads(done.stdout)) | {"said": done.stderr}


def test_rows_of_postgres_are_indexed_incrementally(
    shop: Shop,
    items: Any,
    postgres: PostgresServer,
    worker: WorkerFactory,
    elasticsearch_url: str,
    redis_url: str,
) -> None:
    """Arrays, JSON, decimals and UUIDs; the row at the watermark is sent again, and unchanged."""
    worker(**shop.environ(elasticsearch_url, redis_url))
    add(items, shop, 4, status="lent")
    since = ("--since", "updated_at", "--wait")
    first = index(postgres.url, *since)
    assert (first["indexed"], first["rejected"]) == (3, {"status_unknown": 1})
    assert first["examples"]["status_unknown"][0][0] == "query row 4 (4)"
    assert first["said"] == ""
    document = shop.documents()["2"]
    assert (document["category"], document["attributes"]) == (["Apparel", "Skirts"], {"colour": "Red"})

    add(items, shop, 5)
    items.execute("UPDATE items SET status = 'sold_out', updated_at = %s WHERE id = 1", [at(6)])
    second = index(postgres.url, *since)
    assert second["said"].startswith("Reading rows with updated_at from 2026-01-01 00:03:00+00:00 on.")
    assert (second["total"], second["indexed"], second["unchanged"]) == (4, 2, 1)
    assert shop.documents()["1"]["status"] == "sold_out"

    assert index(postgres.url, *since, "--overlap", "0")["total"] == 1
    assert index(postgres.url, *since, "--full")["total"] == 5


def test_a_watermark_moves_when_rows_are_in_the_queue(
    shop: Shop, items: Any, postgres: PostgresServer, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not when they were only read, and without a worker: it is the queue that keeps them."""
    options = ("--since", "updated_at", "--overlap", "0")
    dry = index(postgres.url, "--since", "updated_at", "--dry-run")
    assert dry["indexed"] == 3
    assert index(postgres.url, *options)["sent"] == 3
    assert index(postgres.url, *options)["sent"] == 1
    assert index(postgres.url, *options, query=QUERY.replace("none of these", "another"))["sent"] == 3

    monkeypatch.setenv("NITAMONO_SQL_URL", postgres.url)
    done = CliRunner().invoke(main, ["index", "--query", QUERY, *options, "--json"])
    assert json.loads(done.stdout)["sent"] == 1
    with redis.Redis.from_url(redis_url) as client:
        assert PASSWORD.encode() not in b"".join(client.hvals(f"nitamono:{shop.settings.prefix}:watermarks"))


def test_an_error_of_postgres_is_one_sentence_without_the_password(
    shop: Shop, items: Any, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong password, an unknown table; and a query cannot write."""
    right = f"postgresql+psycopg://postgres:***@127.0.0.1:{postgres.port}/postgres"
    cases = {
        "SELECT * FROM nowhere": 'relation "nowhere" does not exist',
        "SELECT 1 AS one": "query: missing columns",
        "DELETE FROM items RETURNING *": 'syntax error at or near "DELETE"',
        "WITH gone AS (DELETE FROM items RETURNING *) SELECT * FROM gone": "must not contain data-modifying",
    }
    for query, said in cases.items():
        done = CliRunner().invoke(main, ["index", "--sql", postgres.url, "--query", query])
        assert (done.exit_code, said in done.output) == (1, True), done.output
        assert right in done.output or said.startswith("query")
    monkeypatch.setenv("SHOP_PASSWORD", "wrong-secret")
    done = CliRunner().invoke(main, ["index", "--sql", postgres.url, "--query", QUERY])
    assert "password authentication failed" in done.output
    assert "wrong-secret" not in done.output
    assert len(done.output.splitlines()) == 1


def test_rows_are_streamed_from_postgres(shop: Shop, postgres: PostgresServer) -> None:
    """A hundred megabytes of rows in far less memory."""
    query = """SELECT n AS item_id, repeat('x', 1000) AS title, 'A' AS category, 1 AS price,
        'JPY' AS currency, 's' AS seller_id, 'on_sale' AS status, now() AS created_at, now() AS updated_at
        FROM generate_series(1, 100000) AS n"""
    code = f"""
import resource, os
from indexer.intake.listing_map import NO_MAP
from indexer.intake.sources.sql import SqlSource
from indexer.intake.sources.sql_url import database_url
rows = SqlSource(database_url({postgres.url!r}, os.environ), '''{query}''').sample(NO_MAP)
next(rows)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
count = 1 + sum(1 for _ in rows)
print(count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    count, grown = map(int, done.stdout.split())
    assert count == 100_000
    assert grown < 30_000, "kilobytes"


def test_text_times_of_sqlite_are_a_watermark(shop: Shop, tmp_path: Path) -> None:
    """As they sort there."""
    connection = sqlite3.connect(tmp_path / "shop.db")
    connection.execute("CREATE TABLE items (item_id, title, updated_at)")
    for number in range(1, 4):
        connection.execute("INSERT INTO items VALUES (?, 'Skirt', ?)", [number, at(number)])
    connection.commit()
    constants = "'A' AS category, 1 AS price, 'JPY' AS currency, 's' AS seller_id, 'on_sale' AS status"
    query = f"SELECT *, updated_at AS created_at, {constants} FROM items"  # noqa: S608
    options = (f"sqlite:///{tmp_path}/shop.db", "--since", "updated_at")

    assert index(*options, query=query)["sent"] == 3
    connection.execute("INSERT INTO items VALUES (4, 'Skirt', ?)", [at(4)])
    connection.commit()
    connection.close()
    assert index(*options, query=query)["sent"] == 2
    assert index(*options, query=query)["sent"] == 1


@pytest.mark.parametrize(
    "value",
    [
        datetime(2026, 1, 1, 9, 30, 0, 123456, tzinfo=timezone(timedelta(hours=9))),
        datetime(2026, 1, 1, 9, 30),
        date(2026, 1, 1),
        Decimal("12.50"),
        1769851800250,
        "2026-01-01",
    ],
)
def test_a_watermark_keeps_its_type(value: object, redis_url: str) -> None:
    """So that the database compares what it returned; of another query there is none."""
    with redis.Redis.from_url(redis_url) as client:
        watermarks = Watermarks(client, "shop")
        watermarks.save("SELECT 1", value)
        found = watermarks.load("SELECT 1")
        assert (found, type(found)) == (value, type(value))
        assert watermarks.load("SELECT 2") is None
        assert Watermarks(client, "another").load("SELECT 1") is None
