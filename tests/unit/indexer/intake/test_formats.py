"""The formats of files: each gives the same listings. Hostile files are refused in bounded time and space."""

from __future__ import annotations

import gzip
import io
import json
import os
import struct
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pyarrow import feather

from indexer.errors import UnreadableFile
from indexer.intake import excel, json_file
from indexer.intake.files import checked, read_rows, select
from indexer.intake.listing_map import NO_MAP, REQUIRED, ListingMap
from indexer.intake.row import MAX_ROW_LENGTH, Row
from indexer.intake.sources.local import FileSource
from indexer.intake.value_formats import ValueFormats
from mappings.listing import Listing, parse_listing
from tests.factories import make_event, make_listing
from tests.unit.indexer.intake.test_csv_file import table

TOKYO = ListingMap(formats=ValueFormats(timezone="Asia/Tokyo"))
EVENTS = [
    make_event(item_id=f"m{n}", title=f"赤い スカート {n}", images=["/a.jpg", "/b.jpg"]) for n in range(3)
]
ARRAY = json.dumps(EVENTS)
LINES = "".join(json.dumps(event, ensure_ascii=False) + "\n" for event in EVENTS)


def zstd(data: bytes) -> bytes:
    """Compress to a zstd frame."""
    return bytes(pa.compress(data, "zstd", asbytes=True))


PACKED = [("gz", gzip.compress), ("zst", zstd)]


def listings(file: Path, rules: ListingMap | None = None) -> list[Listing]:
    """Return the listings of a file that has no other rows."""
    rules = rules or ListingMap()
    checked(file, rules)
    return [parse_listing(row.event) for row in read_rows(file, file.parent, rules)]


def written(file: Path, content: bytes) -> Path:
    """Write a file."""
    file.write_bytes(content)
    return file


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", LINES.encode()),
        ("a.jsonl.gz", gzip.compress(LINES.encode())),
        ("a.ndjson.ZST", zstd(LINES.encode())),
        ("a.json", json.dumps(EVENTS, ensure_ascii=False).encode()),
        ("a.json", json.dumps(EVENTS, indent=2).encode("utf-8-sig")),
        ("a.json", json.dumps(EVENTS).encode("utf-16")),
        ("a.json", LINES.encode()),
        ("a.json.gz", gzip.compress(ARRAY[:300].encode()) + gzip.compress(ARRAY[300:].encode())),
        ("a.json.zstd", zstd(ARRAY.encode())),
    ],
)  # fmt: skip
def test_json_in_every_form_is_the_same(tmp_path: Path, name: str, content: bytes) -> None:
    """Lines, an array, objects one after another; compressed or not."""
    assert listings(written(tmp_path / name, content)) == [parse_listing(event) for event in EVENTS]


@pytest.mark.parametrize(("suffix", "pack"), PACKED)
@pytest.mark.parametrize("encoding", ["utf-8-sig", "cp932", "euc_jp", "utf-16"])
def test_tables_may_be_compressed(
    tmp_path: Path, suffix: str, pack: Callable[[bytes], bytes], encoding: str
) -> None:
    """In any encoding that is marked or detected, with line breaks in quotes."""
    text = table('"赤い\n""スカート"""', "ソニー製カメラ").replace(",", ";")
    first, second = listings(written(tmp_path / f"a.csv.{suffix}", pack(text.encode(encoding))))
    assert (first.title, second.title) == ('赤い\n"スカート"', "ソニー製カメラ")


def columns() -> dict[str, pa.Array]:
    """The columns of a listing in the types that Arrow has and JSON lacks."""
    moment = pa.array([1_767_225_600_123_456_789], pa.int64()).cast(pa.timestamp("ns", tz="America/New_York"))
    return {
        "item_id": pa.array([10001]),
        "title": pa.array(["t"], pa.large_string()),
        "category": pa.array([["Apparel", "Skirts"]]),
        "price": pa.array([Decimal("12.50")], pa.decimal128(9, 2)),
        "currency": pa.array(["eur"]).dictionary_encode(),
        "seller_id": pa.array(["s1"]),
        "status": pa.array(["on_sale"]).dictionary_encode(),
        "created_at": moment.cast(pa.timestamp("ms", tz="UTC"), safe=False),
        "updated_at": moment,
        "images": pa.array([["/a.jpg", None]], pa.list_(pa.string())),
        "attributes": pa.array([[("colour", "Red")]], pa.map_(pa.string(), pa.string())),
        "vector": pa.array([[0.5] * 4], pa.list_(pa.float32(), 4)),
    }


def write_stream(table: pa.Table, file: Path) -> None:
    """Write a stream of Arrow batches."""
    with pa.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.parquet", pq.write_table),
        ("a.arrow", lambda table, file: feather.write_feather(table, file, compression="uncompressed")),
        ("a.feather", lambda table, file: feather.write_feather(table, file, compression="zstd")),
        ("b.feather", lambda table, file: feather.write_feather(table, file, compression="lz4")),
        ("b.arrow", write_stream),
    ],
)
def test_columnar_files_are_the_same(
    tmp_path: Path, name: str, write: Callable[[pa.Table, Path], object]
) -> None:
    """Lists, decimals, dictionaries, maps, nanoseconds and time zones."""
    write(pa.table(columns()), tmp_path / name)
    assert listings(tmp_path / name) == [
        make_listing(
            item_id="10001",
            title="t",
            category=["Apparel", "Skirts"],
            price=12.5,
            currency="EUR",
            created_at="2026-01-01T00:00:00.123Z",
            updated_at="2026-01-01T00:00:00.123456Z",
            images=["/a.jpg"],
        )
    ]


def workbook(file: Path, *sheets: list[list[Any]]) -> Path:
    """Write a workbook."""
    book = openpyxl.Workbook()
    book.remove(book.active)  # type: ignore[arg-type]
    for rows in sheets:
        sheet = book.create_sheet()
        for row in rows:
            sheet.append(row)
    book.save(file)
    return file


HEAD = [*REQUIRED, "images"]
MOMENT = datetime(2026, 1, 1, 9, 30)
CELLS = [
    10001,
    "赤い\nスカート",
    "Apparel > Skirts",
    1290,
    "JPY",
    7,
    "on_sale",
    MOMENT,
    MOMENT,
    "/a.jpg|/b.jpg",
]


def test_the_sheet_with_listings_of_a_workbook_is_read(tmp_path: Path) -> None:
    """After other sheets and blank rows; dates have no time zone, so one is passed."""
    other = [["Notes"], ["Prices include tax"]]
    file = workbook(tmp_path / "a.xlsx", other, [[], HEAD, [], CELLS, [None] * 10, [*CELLS[:9]]])

    first, second = listings(file, TOKYO)
    assert (first.item_id, first.seller_id, first.price) == ("10001", "7", 1290)
    assert (first.title, first.category) == ("赤い\nスカート", ("Apparel", "Skirts"))
    assert first.images == ("/a.jpg", "/b.jpg")
    assert first.updated_at == datetime(2026, 1, 1, 0, 30, tzinfo=UTC)
    assert second.images == ()
    places = [row.location for row in read_rows(file, tmp_path, TOKYO)]
    assert places == ["a.xlsx sheet Sheet1 row 4", "a.xlsx sheet Sheet1 row 6"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"no", "it is no .xlsx workbook"),
        (b"PK\x03\x04" + b"\0" * 100, "it is no .xlsx workbook"),
    ],
)
def test_a_damaged_workbook_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    """With what to do."""
    with pytest.raises(UnreadableFile, match=f"{words}.*: save it as CSV"):
        checked(written(tmp_path / "a.xlsx", content))


def test_a_workbook_without_listings_names_what_is_missing(tmp_path: Path) -> None:
    """In its first sheet."""
    with pytest.raises(UnreadableFile, match="sheet Sheet: missing columns item_id, title"):
        checked(workbook(tmp_path / "a.xlsx", [["Notes"]], [["Other"]]))


def rewritten(file: Path, part: str, change: Callable[[bytes], bytes]) -> Path:
    """Change a part of a workbook."""
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts[part] = change(parts[part])
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return file


SHEET = "xl/worksheets/sheet1.xml"


def test_hostile_workbooks_are_refused(tmp_path: Path) -> None:
    """A zip bomb, entities; a row number of billions is no such number of rows."""
    bomb = workbook(tmp_path / "bomb.xlsx", [HEAD, CELLS])
    rewritten(bomb, SHEET, lambda xml: xml + b" " * (excel.MAX_UNPACKED + 1))
    assert bomb.stat().st_size < 2**20
    with pytest.raises(UnreadableFile, match="its sheets have 256 MiB, at most 256: save it as CSV"):
        checked(bomb, TOKYO)

    wide = workbook(tmp_path / "wide.xlsx", [HEAD, CELLS])
    row = b"<row>" + b"<c><v>1</v></c>" * 2**21 + b"</row>"
    rewritten(wide, SHEET, lambda xml: xml.replace(b"<sheetData>", b"<sheetData>" + row))
    with pytest.raises(UnreadableFile, match=r"a row of xl/worksheets/sheet1.xml has more than 16 MiB"):
        checked(wide, TOKYO)

    entities = workbook(tmp_path / "entities.xlsx", [HEAD, CELLS])
    bomb_xml = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
    rewritten(entities, SHEET, lambda xml: bomb_xml + xml)
    with pytest.raises(UnreadableFile, match=r"it is no .xlsx workbook .*: save it as CSV"):
        checked(entities, TOKYO)

    far = workbook(tmp_path / "far.xlsx", [HEAD, CELLS, CELLS])
    rewritten(far, SHEET, lambda xml: xml.replace(b'<row r="3"', b'<row r="4000000000"'))
    assert len(listings(far, TOKYO)) == 1


@pytest.mark.parametrize(("suffix", "pack"), PACKED)
def test_a_file_that_unpacks_without_end_is_refused(
    tmp_path: Path, suffix: str, pack: Callable[[bytes], bytes]
) -> None:
    """In constant memory."""
    file = written(tmp_path / f"a.csv.{suffix}", pack(b" " * 80_000_000))
    assert file.stat().st_size < 300_000
    tracemalloc.start()
    with pytest.raises(UnreadableFile, match="it unpacks to more than 200 times its size"):
        checked(file)
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("name", ["a.csv.gz", "a.jsonl.zst", "a.json.gz"])
@pytest.mark.parametrize("damage", ["cut", "half", "prefixed"])
def test_a_damaged_compressed_file_is_refused(tmp_path: Path, name: str, damage: str) -> None:
    """Before anything is sent."""
    pack = gzip.compress if name.endswith("gz") else zstd
    data = pack(os.urandom(100).hex().encode() * 20)
    damaged = {"cut": data[:-20], "half": data[: len(data) // 2], "prefixed": b"no" + data}[damage]
    file = written(tmp_path / name, damaged)
    with pytest.raises(UnreadableFile, match=name):
        checked(file)


def test_more_rows_than_bytes_are_no_listings(tmp_path: Path) -> None:
    """Encodings of runs have a billion rows in a few kilobytes."""
    one = pa.table({name: column for name, column in columns().items() if name in REQUIRED})
    pq.write_table(one.take(pa.array([0] * 300_000)), tmp_path / "a.parquet", compression="zstd")
    with pytest.raises(UnreadableFile, match="its rows are repeated, so they are no listings"):
        checked(tmp_path / "a.parquet")


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_a_hostile_feather_file_is_refused_before_it_is_unpacked(tmp_path: Path, compression: str) -> None:
    """Arrow would allocate the terabytes that a compressed buffer claims."""
    names = [f"A > {n:0100}" for n in range(1000)]
    events = [make_event(item_id=str(n), attributes={}, category=name) for n, name in enumerate(names)]
    table = pa.Table.from_pylist([{k: v for k, v in event.items() if k in REQUIRED} for event in events])
    category = table.column("category").dictionary_encode()
    for number, column in enumerate((table.column("category"), category)):
        file = tmp_path / f"{number}.feather"
        changed = table.set_column(table.schema.get_field_index("category"), "category", column)
        feather.write_feather(changed, file, compression=compression)
        assert [row.event and row.event["category"] for row in read_rows(file, tmp_path)] == [
            ["A", name[4:]] for name in names
        ]
        data = file.read_bytes()
        claimed = struct.pack("<q", sum(map(len, names)))  # the prefix of the buffer with these texts
        assert claimed in data
        file.write_bytes(data.replace(claimed, struct.pack("<q", 2**42)))
        with pytest.raises(UnreadableFile, match="a batch unpacks to more than 64 MiB: write it as Parquet"):
            checked(file)
        with pytest.raises(UnreadableFile, match="a batch unpacks to more than"):
            next(read_rows(file, tmp_path))


def test_a_feather_file_that_lost_a_part_is_refused(tmp_path: Path) -> None:
    """By the index at its end, or for the lack of it."""
    file = tmp_path / "a.feather"
    table = pa.Table.from_pylist(
        [{k: v for k, v in event.items() if k in REQUIRED} for event in EVENTS * 100]
    )
    feather.write_feather(table, file, chunksize=100)
    data = file.read_bytes()
    second = data.rindex(b"\xff\xff\xff\xff", 0, data.rindex(b"\xff\xff\xff\xff"))
    for damaged in (data[:second], data[:second] + bytes(8) + data[second:], data[:-20]):
        file.write_bytes(damaged)
        with pytest.raises(UnreadableFile, match=r"a\.feather"):
            checked(file)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[{"item_id": "a"}, {"item_id"', r"item 2 is not JSON \(it ends too early\)"),
        ('[{"item_id": "a"} no', r"item 2 is not JSON \(invalid JSON at 'no'\)"),
        ('[{"item_id": "a"},', "the array does not end after item 1: the file is cut off"),
        ('[{"item_id": "a"}]]', "something follows the array of 1 items"),
        ('{"item_id": "a"}]', r"item 2 is not JSON \(invalid JSON at ']'\)"),
        ("[" * 100_000, r"item 1 is not JSON \(JSON that is nested too deep\)"),
        ('[{"item_id": "' + "x" * (2 * MAX_ROW_LENGTH), "item 1 is not JSON"),
    ],
)
def test_a_damaged_array_is_refused_as_a_whole(tmp_path: Path, text: str, words: str) -> None:
    """Nothing says where its next object begins."""
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(UnreadableFile, match=words):
        checked(tmp_path / "a.json")


@pytest.mark.parametrize("before", ["", '"status": "ok", "meta": {"a": [{}]}, "tags": ["x", ["y"]], '])
def test_listings_in_one_list_of_an_object_are_read(tmp_path: Path, before: str) -> None:
    """As APIs answer; the preview says where they are."""
    file = tmp_path / "a.json"
    file.write_text(f'\ufeff {{{before}"items": {json.dumps(EVENTS)}, "next": null}}\n')
    rows = [(row.event and row.event["item_id"], row.location) for row in read_rows(file, tmp_path)]
    assert rows == [(event["item_id"], f"a.json item {n}") for n, event in enumerate(EVENTS, 1)]
    preview = FileSource.at(file, None, NO_MAP).check(NO_MAP)
    assert preview.notes == ("a.json: the listings are in 'items'.",)


@pytest.mark.parametrize(
    "text",
    [
        '{"items": [{}], "errors": [{}]}',
        '{"items": [{}, 1]}',
        '{"items": {"a": 1}}',
        '{"item_id": "a", "variants": [{}]}',
        '{"variants": [{}]} {"variants": [{}]}',
    ],
)
def test_an_object_with_another_content_is_a_row_itself(tmp_path: Path, text: str) -> None:
    """Two lists, or one of other values, could mean anything; a listing may have a list."""
    (tmp_path / "a.json").write_text(text)
    assert FileSource.at(tmp_path / "a.json", None, NO_MAP).check(NO_MAP).notes == ()


def test_values_of_an_array_that_are_no_objects_are_rejected(tmp_path: Path) -> None:
    """One by one, with their place in the file."""
    (tmp_path / "a.json").write_text(f"[{json.dumps(EVENTS[0])}, 17, [], {'[' * 60}{']' * 60}, null]")
    rows = list(read_rows(tmp_path / "a.json", tmp_path))
    assert [row.reason for row in rows] == ["", *["invalid_json"] * 4]
    assert rows[1].location == "a.json item 2"


def test_a_large_array_is_read_in_constant_memory() -> None:
    """Only the current object is in memory."""
    item = json.dumps(EVENTS[0])

    class Endless(io.StringIO):
        def __init__(self) -> None:
            super().__init__()
            self.left = 40_000_000

        def read(self, size: int | None = -1, /) -> str:
            self.left -= size or 0
            return (f"{item}," * ((size or 0) // len(item) + 1)) if self.left > 0 else ""

    tracemalloc.start()
    count = sum(1 for _ in json_file.values(Endless()))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count > 100_000
    assert peak < 10_000_000


def photo(file: Path, taken: str = "", offset: str = "") -> Path:
    """Write a photo of 2020, taken at that time by its EXIF data."""
    exif = Image.Exif()
    if taken:
        exif.get_ifd(0x8769).update({0x9003: taken} | ({0x9011: offset} if offset else {}))
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4)).save(file, exif=exif)
    os.utime(file, (1_577_836_800, 1_577_836_800))
    return file


def photo_rows(folder: Path, rules: ListingMap | None = None) -> Iterator[Row]:
    """Yield the rows of a folder of photos."""
    (only,) = select(folder).files
    assert checked(only).rows > 0
    yield from read_rows(only, folder, rules or ListingMap())


def test_a_folder_of_photos_alone_is_listings(tmp_path: Path) -> None:
    """The sub-folder is the category, the file's time the date; there is no price."""
    photo(tmp_path / "shop" / "Apparel" / "Skirts" / "red skirt.jpg")
    photo(tmp_path / "shop" / "loose.PNG")
    photo(tmp_path / "shop" / ".hidden" / "x.jpg")
    loose, skirt = (parse_listing(row.event) for row in photo_rows(tmp_path / "shop"))

    assert (skirt.item_id, skirt.title) == ("Apparel/Skirts/red skirt.jpg", "red skirt")
    assert (skirt.category, loose.category) == (("Apparel", "Skirts"), ("shop",))
    assert (skirt.price, skirt.currency, skirt.status) == (None, "XXX", "on_sale")
    assert skirt.images == (str((tmp_path / "shop" / "Apparel" / "Skirts" / "red skirt.jpg").resolve()),)
    assert skirt.created_at == skirt.updated_at == datetime(2020, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("taken", "offset", "zone", "created"),
    [
        ("2019:05:06 07:08:09", "+09:00", None, "2019-05-05T22:08:09+00:00"),
        ("2019:05:06 07:08:09", "", "Asia/Tokyo", "2019-05-05T22:08:09+00:00"),
        ("2019:05:06 07:08:09", "", None, "2020-01-01T00:00:00+00:00"),
        ("0000:00:00 00:00:00", "+09:00", None, "2020-01-01T00:00:00+00:00"),
        ("2099:01:01 00:00:00", "+09:00", None, "2020-01-01T00:00:00+00:00"),
        ("yesterday", "x", "Asia/Tokyo", "2020-01-01T00:00:00+00:00"),
    ],
)
def test_a_photo_was_taken_when_its_data_say_so(
    tmp_path: Path, taken: str, offset: str, zone: str | None, created: str
) -> None:
    """With a time zone; otherwise, and if the camera's clock was wrong, the file's time is used."""
    photo(tmp_path / "a.jpg", taken, offset)
    (row,) = photo_rows(tmp_path, ListingMap(formats=ValueFormats(timezone=zone)))
    assert parse_listing(row.event).created_at == datetime.fromisoformat(created)


def test_a_folder_with_another_file_is_no_folder_of_photos(tmp_path: Path) -> None:
    """It may be the listings."""
    photo(tmp_path / "a.jpg")
    (tmp_path / "listings.xls").write_text("no")
    with pytest.raises(UnreadableFile, match=r"skipped listings\.xls: save it as .*; skipped \*\.jpg"):
        select(tmp_path)
