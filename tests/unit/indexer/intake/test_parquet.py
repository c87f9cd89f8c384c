"""Reading of Parquet files."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from indexer.errors import UnreadableFile
from indexer.intake import columnar
from indexer.intake.columns import json_value
from indexer.intake.files import checked
from indexer.intake.listing_map import NO_MAP
from indexer.intake.row import Row
from mappings.listing import parse_listing
from tests.factories import make_event


def rows(path: Path) -> list[tuple[object, str]]:
    """Return the events of a file, with the reason if a row is rejected."""
    return [(row.event, row.reason) for row in read(path)]


def read(path: Path) -> list[Row]:
    """Return the rows of a file."""
    rows = columnar.rows(path, NO_MAP)
    return [replace(row, event=row.event and NO_MAP.event_of(row.event)) for row in rows]


def test_parquet_rows_become_events(tmp_path: Path) -> None:
    """Dates, decimals, maps and nulls are converted to JSON."""
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    row = make_event(created_at=moment, updated_at=moment, price=Decimal("12.5"))
    row["attributes"] = [("colour", "Red")]
    schema = pa.schema(
        [
            (name, pa.map_(pa.string(), pa.string()) if name == "attributes" else pa.array([row[name]]).type)
            for name in row
        ]
    )
    pq.write_table(pa.Table.from_pylist([row], schema=schema), tmp_path / "a.parquet")

    ((event, _),) = rows(tmp_path / "a.parquet")
    listing = parse_listing(event)
    assert (listing.price, listing.updated_at, listing.attributes) == (12.5, moment, {"colour": "Red"})
    assert checked(tmp_path / "a.parquet").rows == 1


def write_parquet(path: Path, **columns: pa.Array) -> Path:
    """Write a file with these columns."""
    pq.write_table(pa.table(columns), path)
    return path


def test_only_the_parquet_row_that_cannot_be_read_is_rejected(tmp_path: Path) -> None:
    """Text that is not UTF-8, a date after the year 9999. The dead letter has the readable columns."""
    file = write_parquet(
        tmp_path / "a.parquet",
        item_id=pa.array(["a", "b", "c", "d"]),
        title=pa.Array.from_buffers(
            pa.string(), 4, pa.array([b"x", b"\xff", b"y", b"z"], pa.binary()).buffers()
        ),
        updated_at=pa.array([0, 0, 2**62, 0], pa.int64()).cast(pa.timestamp("us", tz="Asia/Tokyo")),
    )
    first, second, third, fourth = read(file)

    moment = "1970-01-01T00:00:00.000000Z"
    assert first.event == {"item_id": "a", "title": "x", "updated_at": moment}
    assert (second.reason, third.reason) == ("row_unreadable", "row_unreadable")
    assert "item_id: b" in second.raw
    assert "item_id: c" in third.raw
    assert fourth.event is not None


def test_parquet_times_are_read_to_the_microsecond(tmp_path: Path) -> None:
    """Pandas writes nanoseconds."""
    moments = pa.array([1_767_225_600_123_456_789], pa.int64())
    file = write_parquet(
        tmp_path / "a.parquet",
        updated_at=moments.cast(pa.timestamp("ns", tz="+09:00")),
        created_at=moments.cast(pa.timestamp("ns")),
    )

    ((event, _),) = rows(file)
    assert event == {
        "updated_at": "2026-01-01T00:00:00.123456Z",
        "created_at": "2026-01-01T00:00:00.123456",
    }


def test_parquet_values_of_other_kinds_reach_the_validation(tmp_path: Path) -> None:
    """An empty map is an object; a duration as a price is rejected by the validation."""
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


def test_unknown_parquet_columns_are_ignored(tmp_path: Path) -> None:
    """Whatever their content."""
    broken = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff"], pa.binary()).buffers())
    columns = {
        "attributes.colour": pa.array(["Red"]),
        "note": broken,
        "age": pa.array([1], pa.duration("ns")),
    }

    expected = {"attributes": {"colour": "Red"}}
    assert rows(write_parquet(tmp_path / "a.parquet", **columns)) == [(expected, "")]


def test_values_without_a_json_type_become_text() -> None:
    """A date without a time zone keeps none, so that the validation reports it."""
    assert json_value(datetime(2026, 1, 1)) == "2026-01-01T00:00:00"
    assert json_value(datetime(2026, 1, 1, tzinfo=UTC)) == "2026-01-01T00:00:00.000000Z"
    assert json_value(date(2026, 1, 1)) == "2026-01-01"
    assert json_value({"a": ["赤".encode(), None], "b": None}) == {"a": ["赤", None]}


@pytest.mark.parametrize(
    "kind",
    [
        pa.string(),
        pa.large_string(),
        pa.string_view(),
        pa.binary(),
        pa.large_binary(),
        pa.binary_view(),
        pa.dictionary(pa.int32(), pa.string()),
        pa.dictionary(pa.int32(), pa.binary()),
    ],
)
def test_text_of_every_type_is_text(tmp_path: Path, kind: pa.DataType) -> None:
    """Hive, Impala and old Spark do not mark UTF-8. Words and ids are kept as they are."""
    columns = {name: ["00123", "NA", "赤い", None] for name in ("item_id", "title", "attributes.a")}
    texts = {
        name: pa.array(values).cast(pa.binary()).cast(kind)
        if pa.types.is_binary(kind)
        else pa.array(values, pa.string()).cast(kind)
        if not pa.types.is_dictionary(kind)
        else pa.array(
            [value and (value.encode() if pa.types.is_binary(kind.value_type) else value) for value in values]
        ).dictionary_encode()
        for name, values in columns.items()
    }

    events = [event for event, _ in rows(write_parquet(tmp_path / "a.parquet", **texts))]
    assert events[:3] == [
        {"item_id": word, "title": word, "attributes": {"a": word}} for word in ("00123", "NA", "赤い")
    ]
    assert events[3] == {}


def test_bytes_that_are_not_text_are_rejected(tmp_path: Path) -> None:
    """Only that row, with its number; also in a list and in a column of fixed width."""
    file = write_parquet(
        tmp_path / "a.parquet",
        item_id=pa.array([b"aa", b"\xff\xfe", b"cc"], pa.binary(2)),
        images=pa.array([[b"a.jpg"], [b"b.jpg"], [b"\xff"]], pa.list_(pa.binary())),
    )
    first, second, third = read(file)

    assert first.event == {"item_id": "aa", "images": ["a.jpg"]}
    assert (second.reason, third.reason) == ("row_unreadable", "row_unreadable")
    assert (second.location, third.location) == ("row 2", "row 3")
    assert second.detail.startswith("UnicodeDecodeError")
    assert third.detail.startswith("UnicodeDecodeError")


def test_times_of_int96_are_utc(tmp_path: Path) -> None:
    """Impala, Hive and Spark write no time zone. Also after the year 2262, the end of nanoseconds."""
    moments = pa.array([datetime(2026, 1, 1, 9, 30), datetime(2500, 1, 1)], pa.timestamp("us"))
    file = tmp_path / "a.parquet"
    pq.write_table(pa.table({"updated_at": moments}), file, use_deprecated_int96_timestamps=True)

    assert [event["updated_at"] for event in map(dict, (row for row, _ in rows(file)))] == [
        "2026-01-01T09:30:00.000000Z",
        "2500-01-01T00:00:00.000000Z",
    ]


def test_nulls_are_absent(tmp_path: Path) -> None:
    """As in CSV, a listing without photos and attributes is valid."""
    file = write_parquet(
        tmp_path / "a.parquet",
        images=pa.array([None, [], ["a.jpg", None]], pa.list_(pa.string())),
        attributes=pa.array([None, {"a": None}, {"a": "b"}], pa.struct([("a", pa.string())])),
    )

    assert [row.event for row in read(file)] == [
        {},
        {"images": [], "attributes": {}},
        {"images": ["a.jpg"], "attributes": {"a": "b"}},
    ]


def test_prices_of_every_type_are_numbers(tmp_path: Path) -> None:
    """Decimals, floats, whole numbers, and text as in CSV."""
    prices = (
        pa.array([Decimal("12.50")], pa.decimal128(9, 2)),
        pa.array([Decimal("12.50")], pa.decimal256(40, 2)),
        pa.array([12.5], pa.float32()),
        pa.array(["12.5"]),
        pa.array([b"12.5"]),
    )
    for price in prices:
        ((event, _),) = rows(write_parquet(tmp_path / "a.parquet", price=price))
        assert event == {"price": 12.5}


def test_columns_are_named_as_in_csv(tmp_path: Path) -> None:
    """Case is ignored. Repeated and missing columns are errors."""
    columns = {"Item_ID": pa.array(["a"]), " TITLE": pa.array(["t"]), "Attributes.Size": pa.array(["M"])}
    file = write_parquet(tmp_path / "a.parquet", **columns)

    assert rows(file) == [({"item_id": "a", "title": "t", "attributes": {"Size": "M"}}, "")]
    with pytest.raises(UnreadableFile, match="missing columns category"):
        checked(file)
    with pytest.raises(UnreadableFile, match="repeated column title"):
        checked(write_parquet(file, title=pa.array(["a"]), Title=pa.array(["b"])))


def test_ids_that_are_whole_numbers_become_text(tmp_path: Path) -> None:
    """As they do in JSON."""
    ((event, _),) = rows(write_parquet(tmp_path / "a.parquet", item_id=pa.array([7])))

    assert parse_listing(make_event() | dict(event)).item_id == "7"  # type: ignore[call-overload]  # a dict
