"""Files of listings to events."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from indexer.errors import UnreadableFile
from indexer.readers import MAX_LINE, estimate_rows, files_of, plain, read_rows
from mappings.listing import parse_listing
from tests.factories import make_event


def rows(path: Path) -> list[tuple[object, str]]:
    """The events of a file, or why a row is none."""
    return [(row.event, row.reason) for row in read_rows(path, path.parent)]


def test_lines_that_are_no_events_do_not_stop_the_others(tmp_path: Path) -> None:
    """Blank lines are nothing; everything else counts."""
    file = tmp_path / "a.jsonl"
    file.write_bytes(
        b'{"item_id": "a"}\n\n  \n{"half\n[1]\nnull\n"text"\n\xff\xfe\n'
        + b'{"x":' * 200
        + b"1"
        + b"}" * 200
        + b"\n"
        + b"[" * 100_000
        + b'\n{"item_id": "b"}'
    )
    reasons = [reason for _, reason in rows(file)]

    assert reasons == ["", *["not_json"] * 7, ""]
    assert rows(file)[-1] == ({"item_id": "b"}, "")
    assert estimate_rows(file) == 10


def test_a_line_without_end_is_passed_over(tmp_path: Path) -> None:
    """In constant memory; what follows is read."""
    file = tmp_path / "a.jsonl"
    file.write_bytes(b"x" * (3 * MAX_LINE) + b'\n{"item_id": "b"}\n')

    assert [reason for _, reason in rows(file)] == ["line_too_long", ""]


def test_photo_paths_are_taken_from_the_root(tmp_path: Path) -> None:
    """Relative ones alone; one that climbs out is left for the worker to refuse."""
    file = tmp_path / "a.jsonl"
    images = ["a/b.jpg", "/abs.jpg", "../up.jpg", "http://example.com/a.jpg", "file:///etc/passwd", 7, ""]
    file.write_text(json.dumps({"images": images}) + "\n")

    (row,) = read_rows(file, Path("/root"))
    assert row.event is not None
    assert row.event["images"] == ["/root/a/b.jpg", "/abs.jpg", "/root/../up.jpg", *images[3:]]


def test_csv_columns_become_an_event(tmp_path: Path) -> None:
    """Paths, lists and attributes in columns; empty fields are absent."""
    file = tmp_path / "a.csv"
    file.write_text(
        "\ufeffitem_id,title,category,price,currency,seller_id,status,created_at,updated_at,images,"
        "attributes.colour\n"
        'm1,"Skirt, ""red""",A > B > C,1290,JPY,s1,on_sale,2026-01-01T00:00:00Z,2026-01-01T00:00:00Z,'
        "/a.jpg | /b.jpg,Red\n"
        "m2,,A,cheap,JPY,s1,on_sale,,,,\n"
        "m3,t,A,1,JPY,s1,on_sale,a,b,,,surplus\n"
        f"m4,{'x' * (MAX_LINE + 1)},A\n"
        "m5,t,A\n",
        encoding="utf-8",
    )
    (first, _), (second, _), (_, third), (_, fourth), (fifth, _) = rows(file)

    listing = parse_listing(first)
    assert (listing.title, listing.category, listing.price) == ('Skirt, "red"', ("A", "B", "C"), 1290)
    assert (listing.images, listing.attributes) == (("/a.jpg", "/b.jpg"), {"colour": "Red"})
    assert second == {
        "item_id": "m2",
        "category": ["A"],
        "price": "cheap",
        "currency": "JPY",
        "seller_id": "s1",
        "status": "on_sale",
        "images": [],
        "attributes": {},
    }
    assert (third, fourth) == ("not_csv", "not_csv")
    assert isinstance(fifth, dict)
    assert fifth["item_id"] == "m5"


def test_parquet_rows_become_events(tmp_path: Path) -> None:
    """Dates, decimals, maps and nulls as JSON knows them."""
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    row = make_event(created_at=moment, updated_at=moment, price=Decimal("12.5"), title=None)
    row["attributes"] = [("colour", "Red")]
    fields = dict.fromkeys(row)
    schema = pa.schema(
        [
            (name, pa.map_(pa.string(), pa.string()) if name == "attributes" else pa.array([row[name]]).type)
            for name in fields
            if name != "title"
        ]
    )
    pq.write_table(pa.Table.from_pylist([row], schema=schema), tmp_path / "a.parquet")

    ((event, _),) = rows(tmp_path / "a.parquet")
    assert event is not None
    listing = parse_listing({**dict(event), "title": "x"})  # type: ignore[call-overload]  # a dict, as asserted
    assert (listing.price, listing.updated_at, listing.attributes) == (12.5, moment, {"colour": "Red"})
    assert estimate_rows(tmp_path / "a.parquet") == 1


def write_parquet(path: Path, **columns: pa.Array) -> Path:
    """A file of these columns."""
    pq.write_table(pa.table(columns), path)
    return path


def test_a_parquet_row_that_cannot_be_read_is_set_aside_alone(tmp_path: Path) -> None:
    """Text that is no UTF-8, a date after the year 9999; with its readable columns as the dead letter."""
    file = write_parquet(
        tmp_path / "a.parquet",
        item_id=pa.array(["a", "b", "c", "d"]),
        title=pa.Array.from_buffers(
            pa.string(), 4, pa.array([b"x", b"\xff", b"y", b"z"], pa.binary()).buffers()
        ),
        updated_at=pa.array([0, 0, 2**62, 0], pa.int64()).cast(pa.timestamp("us", tz="Asia/Tokyo")),
    )
    first, second, third, fourth = read_rows(file, tmp_path)

    assert first.event == {"item_id": "a", "title": "x", "updated_at": "1970-01-01T00:00:00.000000Z"}
    assert (second.reason, third.reason) == ("row_unreadable", "row_unreadable")
    assert "item_id: b" in second.raw
    assert "item_id: c" in third.raw
    assert fourth.event is not None


def test_parquet_times_are_read_to_the_microsecond(tmp_path: Path) -> None:
    """Nanoseconds are what pandas writes."""
    moments = pa.array([1_767_225_600_123_456_789], pa.int64())
    file = write_parquet(
        tmp_path / "a.parquet",
        updated_at=moments.cast(pa.timestamp("ns", tz="+09:00")),
        created_at=moments.cast(pa.timestamp("ns")),
    )

    assert rows(file) == [
        ({"updated_at": "2026-01-01T00:00:00.123456Z", "created_at": "2026-01-01T00:00:00.123456"}, "")
    ]


def test_parquet_values_of_other_kinds_reach_the_validation(tmp_path: Path) -> None:
    """An empty map is an object; a duration is no price, and the listing's validation says so."""
    file = write_parquet(
        tmp_path / "a.parquet",
        attributes=pa.array([[], None, [("n", 1)]], pa.map_(pa.string(), pa.int64())),
        price=pa.array([1_500, None, None], pa.duration("ms")),
    )

    assert [event for event, _ in rows(file)] == [
        {"attributes": {}, "price": "0:00:01.500000"},
        {},
        {"attributes": {"n": 1}},
    ]


def test_parquet_columns_of_no_listing_do_not_matter(tmp_path: Path) -> None:
    """Whatever they hold."""
    broken = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff"], pa.binary()).buffers())
    columns = {
        "attributes.colour": pa.array(["Red"]),
        "note": broken,
        "age": pa.array([1], pa.duration("ns")),
    }

    assert rows(write_parquet(tmp_path / "a.parquet", **columns)) == [({"attributes": {"colour": "Red"}}, "")]


@pytest.mark.parametrize(
    "text",
    [",item_id,price\n0,m1,5\n1,m2,6,x\n", "item_id,price,\nm1,5,\nm2,6,,x\n", "item_id,price,\nm1,5\n"],
)
def test_a_csv_column_without_a_name_is_left_out(tmp_path: Path, text: str) -> None:
    """A row number, or nothing after a last comma; a surplus field is told from it."""
    (tmp_path / "a.csv").write_text(text)

    (first, _), *others = rows(tmp_path / "a.csv")
    assert first == {"item_id": "m1", "price": 5.0, "category": [], "images": [], "attributes": {}}
    assert [reason for _, reason in others] == ["not_csv"] * len(others)


def test_values_that_json_lacks_become_text() -> None:
    """A naive date stays naive, so that the listing's validation can say so."""
    assert plain(datetime(2026, 1, 1)) == "2026-01-01T00:00:00"
    assert plain(datetime(2026, 1, 1, tzinfo=UTC)) == "2026-01-01T00:00:00.000000Z"
    assert plain(date(2026, 1, 1)) == "2026-01-01"
    assert plain({"a": [b"\x01", None], "b": None}) == {"a": ["01", None]}


def test_a_folder_means_its_listings_or_all_its_files(tmp_path: Path) -> None:
    """A data set's other files may be anything."""
    for name in ("b.csv", "a.jsonl", "notes.txt"):
        (tmp_path / name).write_text("")
    assert [file.name for file in files_of(tmp_path)] == ["a.jsonl", "b.csv"]

    (tmp_path / "listings.jsonl").write_text("")
    assert [file.name for file in files_of(tmp_path)] == ["listings.jsonl"]


def test_what_holds_no_listings_is_said(tmp_path: Path) -> None:
    """A missing path, a file of another kind, an empty folder, a parquet file that is none."""
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "a.parquet").write_text("no")

    with pytest.raises(UnreadableFile, match="not found"):
        files_of(tmp_path / "none")
    with pytest.raises(UnreadableFile, match="expected a file that ends"):
        files_of(tmp_path / "notes.txt")
    with pytest.raises(UnreadableFile, match=r"a\.parquet"):
        rows(tmp_path / "a.parquet")
    with pytest.raises(UnreadableFile, match=r"a\.parquet"):
        estimate_rows(tmp_path / "a.parquet")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UnreadableFile, match="found no file"):
        files_of(tmp_path / "empty")
