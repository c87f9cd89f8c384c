"""Export, erasure and retention on the files of a log, without Elasticsearch."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from events.errors import DamagedLogFile
from events.log_tables import TABLES, replacing, to_log_table, write_part
from events.worker.documents import item_ids, to_document
from events.worker.erasure import erase_logged
from events.worker.export import TABLE_OF, to_row
from events.worker.retention import drop_logged, first_kept
from tests.events import NOW, make_shopping_event, message, parsed

ALICE, BOB = "a" * 32, "b" * 32


def write_taps(log: Path, users: Sequence[str | None], part: str = "date=2026-11-02/part-0000") -> Path:
    """Write a file with a tap of each user."""
    rows = [to_row("taps", message() | {"user_id": user}) for user in users]
    return write_part(pa.Table.from_pylist(rows, schema=TABLES["taps"]), log, "taps", part)


def users_in(path: Path) -> list[str | None]:
    """Return the users of a file's events, in order."""
    return list(pq.read_table(path)["user_id"].to_pylist())


def write_half(path: Path) -> None:
    """Start to replace the file, and fail."""
    with replacing(path) as unfinished:
        unfinished.write_text("half")
        (path / "nowhere").read_text()


@pytest.mark.parametrize("kind", TABLE_OF)
def test_every_kind_fits_its_table(kind: str) -> None:
    """Field for field, with the types of the log."""
    event = parsed(make_shopping_event(kind))
    document = to_document(event, {})
    row = pa.Table.from_pylist([to_row(TABLE_OF[kind], document)], schema=TABLES[TABLE_OF[kind]]).to_pylist()[
        0
    ]
    assert row["time"] == event.time
    assert row["user_id"] == event.user_id
    assert document.keys() - {"type"} <= row.keys()


def test_listing_fields_become_columns() -> None:
    """Seller, price and date of shown items; category and price of the query item."""
    event = parsed(make_shopping_event("impression"))
    listings = {
        "m1": {"category": ["Apparel", "Skirts"], "price": 1000.0, "seller_id": "s1"},
        "m2": {"seller_id": "s2", "price": 5.0, "created_at": "2026-01-01T09:00:00.000000Z"},
    }
    assert item_ids(event) == {"m1", "m2", "m3"}
    row = to_row("impressions", to_document(event, listings))
    assert (row["query_category"], row["query_price"]) == (["Apparel", "Skirts"], 1000.0)
    first, second = row["items"]
    assert (first["seller_id"], first["price"]) == ("s2", 5.0)
    assert first["created_at"] == datetime(2026, 1, 1, 9, tzinfo=UTC)
    assert second == {"item_id": "m3", "position": 2, "created_at": None}


def test_a_column_that_its_writer_does_not_know_is_null() -> None:
    """A new field needs no change in other writers. Unknown columns are left out."""
    table = to_log_table("taps", pa.table({"item_id": ["m1", "m2"], "colour": ["red", "blue"]}))
    assert table.schema == TABLES["taps"]
    assert table["item_id"].to_pylist() == ["m1", "m2"]
    assert table["slate_id"].to_pylist() == [None, None]


def test_a_file_is_replaced_completely_or_not_at_all(tmp_path: Path) -> None:
    """After an error only the old one exists."""
    path = tmp_path / "day" / "part.parquet"
    with replacing(path) as unfinished:
        unfinished.write_text("first")
        assert not path.exists()
    with pytest.raises(NotADirectoryError):
        write_half(path)
    assert path.read_text() == "first"
    assert list(path.parent.iterdir()) == [path]


def test_a_user_is_erased_from_every_file(tmp_path: Path) -> None:
    """Other rows keep their order; a file without other rows is deleted, one without the user unchanged."""
    mixed = write_taps(tmp_path, [ALICE, BOB, ALICE, BOB])
    only_alice = write_taps(tmp_path, [ALICE], "date=2026-11-01/part-0000")
    only_bob = write_taps(tmp_path, [BOB], "others")
    untouched = only_bob.read_bytes()
    assert erase_logged(tmp_path, ALICE) == 3
    assert users_in(mixed) == [BOB, BOB]
    assert not only_alice.exists()
    assert only_bob.read_bytes() == untouched
    assert erase_logged(tmp_path, ALICE) == 0
    assert all(ALICE.encode() not in path.read_bytes() for path in tmp_path.rglob("*.*"))


def test_rows_without_a_user_and_files_without_rows_stay(tmp_path: Path) -> None:
    """Erasing a user does not affect them."""
    mixed = write_taps(tmp_path, [None, ALICE, BOB])
    empty = write_taps(tmp_path, [], "date=2026-11-01/part-0000")
    assert erase_logged(tmp_path, ALICE) == 1
    assert users_in(mixed) == [None, BOB]
    assert users_in(empty) == []


def test_unfinished_files_are_erased(tmp_path: Path) -> None:
    """The user may be in them, and no reader of the log would notice."""
    kept = write_taps(tmp_path, [BOB])
    for name in (".part-0000.parquet.unfinished", ".part-0001.parquet.unfinished"):
        (kept.parent / name).write_bytes(f"half {ALICE}".encode())
    assert erase_logged(tmp_path, ALICE) == 0
    assert list(kept.parent.iterdir()) == [kept]


def test_a_damaged_file_is_reported(tmp_path: Path) -> None:
    """Erasure must not skip a file that may contain the user."""
    whole = write_taps(tmp_path, [ALICE])
    whole.write_bytes(whole.read_bytes()[:-20])
    with pytest.raises(DamagedLogFile, match=r"part-0000\.parquet cannot be read"):
        erase_logged(tmp_path, ALICE)


def test_old_days_of_a_log_are_deleted(tmp_path: Path) -> None:
    """Folders that are not days stay."""
    for part in ("date=2026-10-31/part-0000", "date=2026-11-01/part-0000", "date=someday/part-0000"):
        write_taps(tmp_path, [ALICE], part)
    assert drop_logged(tmp_path, first_kept(NOW.date(), days=1)) == [date(2026, 10, 31)]
    assert sorted(path.name for path in (tmp_path / "taps").iterdir()) == ["date=2026-11-01", "date=someday"]
