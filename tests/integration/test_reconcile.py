"""`nitamono indexer reconcile` on real services."""

from __future__ import annotations

import csv
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cli import main
from mappings.creation import create_index
from mappings.listing import event_version, parse_listing
from mappings.names import written_through
from tests.conftest import WorkerFactory
from tests.indexing import Shop, ShopFactory, at, draw_photo


@pytest.fixture
def shop(shop_of_commands: ShopFactory) -> Shop:
    """A shop whose environment the commands of this process find."""
    return shop_of_commands()


@pytest.fixture
def environ(shop: Shop, elasticsearch_url: str, redis_url: str) -> dict[str, str]:
    """The environment of the shop's worker."""
    return shop.environ(elasticsearch_url, redis_url)


def reconcile(*arguments: object) -> Result:
    """The output and the exit status of the command."""
    return CliRunner().invoke(main, ["indexer", "reconcile", *map(str, arguments)])


def found_by(*arguments: object) -> tuple[int, dict[str, Any]]:
    """The exit status and the summary of the command."""
    result = reconcile(*arguments, "--json")
    return result.exit_code, json.loads(result.stdout)


def counts_in(summary: dict[str, Any]) -> dict[str, int]:
    """The differences of which there are some."""
    kinds = ("missing", "stale", "extra", "without_vector", "wrong_encoder", "same_time", "rejected")
    return {kind: summary[kind] for kind in kinds if summary[kind]}


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    """A line for each row."""
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def diverged(shop: Shop) -> list[dict[str, Any]]:
    """Index items, and return the rows of a source that differs from the index in each way."""
    rows = {
        item: shop.event(item, updated_at=at(1)) for item in ("same", "stale", "newer", "partial", "tied")
    }
    missing_photo = str(shop.photos / "later.png")
    rows["blind"] = shop.event("blind", updated_at=at(1), images=[missing_photo])
    rows["bare"] = shop.event("bare", updated_at=at(1), images=[])
    extra = shop.event("extra", updated_at=at(1))
    sold = shop.event("sold", updated_at=at(1), status="sold_out")
    shop.index(*rows.values(), extra, sold)
    shop.index(
        shop.event("newer", price=5, updated_at=at(9)),
        {"op": "update", "item_id": "partial", "updated_at": at(5), "price": 77},
    )
    draw_photo(Path(missing_photo))
    return [
        rows["same"],
        rows["stale"] | {"title": "Blue skirt", "updated_at": at(6)},
        rows["newer"],
        rows["partial"] | {"price": 77, "updated_at": at(5)},
        tied(rows["tied"]),
        rows["blind"],
        rows["bare"],
        shop.event("missing", updated_at=at(8)),
        shop.event("gone", status="removed", updated_at=at(8)),
        shop.event("invalid", price=-1, updated_at=at(8)),
    ]


def tied(row: dict[str, Any]) -> dict[str, Any]:
    """Return the row with another title that loses against it at the same instant."""
    others = (row | {"title": f"Skirt {number}"} for number in range(100))
    return next(
        each for each in others if event_version(parse_listing(each)) < event_version(parse_listing(row))
    )


def test_each_way_in_which_an_index_differs_from_its_source_is_found(shop: Shop, tmp_path: Path) -> None:
    """Newer documents, changes of single fields, sold items and items without photos are no difference."""
    source = write(tmp_path / "listings.jsonl", diverged(shop))
    report = tmp_path / "differences.csv"
    status, summary = found_by(source, "--report", report)
    assert status == 3
    assert counts_in(summary) == {
        "missing": 1,
        "stale": 1,
        "extra": 1,
        "without_vector": 1,
        "same_time": 1,
        "rejected": 1,
    }
    numbers = {"rows": 10, "items": 10, "documents": 9, "without_photo": 1, "newer_in_index": 1}
    assert {name: summary[name] for name in numbers} == numbers
    with report.open(encoding="utf-8-sig", newline="") as file:
        rows = {row["item_id"]: row for row in csv.DictReader(file)}
    assert {item: row["difference"] for item, row in rows.items()} == {
        "missing": "missing",
        "stale": "stale",
        "extra": "extra",
        "blind": "without_vector",
        "tied": "same_time",
        "invalid": "rejected",
    }
    assert rows["stale"]["detail"].startswith("title: 2026-01-01T00:01:00")
    assert rows["stale"]["row"] == "listings.jsonl line 2"
    assert rows["invalid"]["detail"] == "price: found -1, expected a number from 0 up"
    printed = reconcile(source).output
    assert "same_time: other content at the same updated_at" in printed
    assert "10 rows compared with" in printed


def test_a_repair_leaves_only_what_no_event_can_repair(
    shop: Shop, environ: dict[str, str], worker: WorkerFactory, tmp_path: Path
) -> None:
    """The listing whose photo exists by now has a vector; extra items are removed where that is asked for."""
    worker(**environ)
    source = write(tmp_path / "listings.jsonl", diverged(shop))
    status, summary = found_by(source, "--repair")
    assert status == 3
    assert summary["repaired"]["indexed"] == 3
    left = {"extra": 1, "same_time": 1, "rejected": 1}
    assert counts_in(found_by(source)[1]) == left
    assert shop.documents()["stale"]["title"] == "Blue skirt"
    assert shop.documents()["blind"]["vector"]

    refused = reconcile(source, "--remove-extra")
    assert refused.exit_code == 1
    assert "1 of 9 listings for sale not in the source, more than 5%" in refused.output
    assert shop.documents()["extra"]["status"] == "on_sale"
    ignored = ("--ignore", "same_time", "--ignore", "rejected")
    status, summary = found_by(source, "--remove-extra", "--max-extra", 50, *ignored)
    assert (status, summary["removed"]["indexed"]) == (0, 1)
    assert shop.documents()["extra"]["status"] == "removed"
    assert found_by(source, *ignored)[0] == 0


def test_what_was_listed_after_the_source_was_read_is_not_extra(shop: Shop, tmp_path: Path) -> None:
    """By default the source was read at its newest event; --as-of says when."""
    shop.index(shop.event("m1", updated_at=at(1)), shop.event("m2", updated_at=at(5)))
    source = write(tmp_path / "listings.jsonl", [shop.event("m1", updated_at=at(1))])
    assert found_by(source)[0] == 0
    assert counts_in(found_by(source, "--as-of", "2026-01-01T00:05:00Z")[1]) == {"extra": 1}
    assert "expected an instant with a time zone" in reconcile(source, "--as-of", "yesterday").output


@pytest.mark.parametrize(
    ("changes", "found"),
    [({"item_id": ""}, "1 row of the source without a readable item_id"), (None, "no item in the source")],
)
def test_a_source_that_may_be_incomplete_removes_nothing(
    shop: Shop, tmp_path: Path, changes: dict[str, Any] | None, found: str
) -> None:
    """Neither with rows that name no item, nor with none at all."""
    shop.index(shop.event("m1", updated_at=at(1)))
    rows = [] if changes is None else [shop.event("m2", updated_at=at(9)) | changes]
    source = write(tmp_path / "listings.jsonl", rows)
    result = reconcile(source, "--remove-extra", "--max-extra", 100, "--as-of", "2026-01-01T01:00:00Z")
    assert result.exit_code == 1, result.output
    assert found in result.output
    assert shop.documents()["m1"]["status"] == "on_sale"


def test_another_index_is_a_source(
    shop: Shop, environ: dict[str, str], worker: WorkerFactory, tmp_path: Path
) -> None:
    """What the live index lacks of it is indexed; changes of single fields and removals too."""
    worker(**environ)
    shop.index(*(shop.event(item, updated_at=at(1)) for item in ("m1", "m2", "m3")))
    shop.index(
        {"op": "update", "item_id": "m2", "updated_at": at(2), "price": 5},
        {"op": "update", "item_id": "m2", "updated_at": at(3), "title": "Later", "attributes": None},
        {"op": "remove", "item_id": "m3", "updated_at": at(2)},
    )
    before = shop.documents()
    copy = create_index(shop.es, shop.settings.prefix, shop.identity)
    for item, document in before.items():
        shop.es.index(index=written_through(copy), id=item, document=document | {"indexed_at": at(5)})
    shop.es.indices.refresh(index=copy)
    for item in ("m1", "m2"):
        shop.es.delete(index=written_through(shop.index_name), id=item, refresh=True)
    status, summary = found_by("--from-index", copy)
    assert (status, counts_in(summary)) == (3, {"missing": 2})
    assert found_by("--from-index", copy, "--repair")[0] == 0
    assert found_by("--from-index", copy)[0] == 0
    after = shop.documents()
    assert [after[item]["price"] for item in ("m1", "m2")] == [1290, 5]
    assert after["m2"]["title"] == "Later"
    assert (
        "does not include" in reconcile("--from-index", shop.index_name, "--index", copy, "--repair").output
    )


def test_a_database_is_a_source(shop: Shop, tmp_path: Path) -> None:
    """The rows of a query, with the same names as the columns of a file."""
    indexed, changed = (shop.event(item, updated_at=at(1), attributes={}) for item in ("m1", "m2"))
    shop.index(indexed, changed)
    rows = [indexed, changed | {"price": 5, "updated_at": at(2)}]
    flat = [row | {"category": " > ".join(row["category"]), "images": row["images"][0]} for row in rows]
    names = [name for name in indexed if name != "attributes"]
    with closing(sqlite3.connect(tmp_path / "shop.db")) as database:
        database.execute(f"create table listings ({', '.join(names)})")
        marks = ", ".join("?" for _ in names)
        database.executemany(
            f"insert into listings values ({marks})",  # noqa: S608  names of our own
            [[row[name] for name in names] for row in flat],
        )
        database.commit()
    status, summary = found_by(
        "--sql", f"sqlite:///{tmp_path / 'shop.db'}", "--query", "select * from listings"
    )
    assert (status, counts_in(summary)) == (3, {"stale": 1})


def test_documents_of_another_encoder_are_found(shop: Shop, tmp_path: Path) -> None:
    """As a write from outside the workers may leave them."""
    event = shop.event("m1", updated_at=at(1))
    shop.index(event)
    document = shop.documents()["m1"] | {"encoder_id": "other-00000001", "indexed_at": at(2)}
    shop.es.index(index=written_through(shop.index_name), id="m1", document=document, refresh=True)
    status, summary = found_by(write(tmp_path / "listings.jsonl", [event]))
    assert (status, counts_in(summary)) == (3, {"wrong_encoder": 1})
