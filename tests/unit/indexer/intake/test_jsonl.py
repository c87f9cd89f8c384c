"""Reading of JSON lines."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from indexer.intake.files import checked, read_rows
from indexer.intake.row import MAX_ROW_LENGTH


def rows(path: Path) -> list[tuple[object, str]]:
    """Return the events of a file, with the reason if a row is rejected."""
    return [(row.event, row.reason) for row in read_rows(path, path.parent)]


def test_invalid_lines_do_not_stop_the_others(tmp_path: Path) -> None:
    """Blank lines are ignored; all others are counted."""
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

    assert reasons == ["", *["invalid_json"] * 4, "invalid_utf8", *["invalid_json"] * 2, ""]
    assert rows(file)[-1] == ({"item_id": "b"}, "")
    assert checked(file).rows == 11


def test_a_line_that_is_too_long_is_rejected(tmp_path: Path) -> None:
    """In constant memory; the following lines are read."""
    file = tmp_path / "a.jsonl"
    file.write_bytes(b"x" * (3 * MAX_ROW_LENGTH) + b'\n{"item_id": "b"}\n')

    assert [reason for _, reason in rows(file)] == ["line_too_long", ""]


def test_photo_paths_start_from_the_root(tmp_path: Path) -> None:
    """Only relative paths; a path outside the root is left to the worker to refuse."""
    file = tmp_path / "a.jsonl"
    images = ["a/b.jpg", "/abs.jpg", "../up.jpg", "http://example.com/a.jpg", "file:///etc/passwd", 7, ""]
    file.write_text(json.dumps({"item_id": "a", "images": images}) + "\n")

    (row,) = read_rows(file, Path("/root"))
    assert row.event is not None
    assert row.event["images"] == ["/root/a/b.jpg", "/abs.jpg", "/root/../up.jpg", *images[3:]]


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.parquet"])
def test_null_clears_a_field_in_an_update(tmp_path: Path, name: str) -> None:
    """As over HTTP. A row of a table has every column, and a complete listing says all, so null is absent."""
    update = {
        "item_id": "a",
        "op": "update",
        "updated_at": "2026-01-01T00:00:00Z",
        "price": None,
        "note": None,
    }
    event = update | {"currency": "JPY", "attributes": None}
    file = tmp_path / name
    if file.suffix == ".parquet":
        known = {"title": "t", "category": "A", "seller_id": "s", "status": "on_sale", "created_at": "2026"}
        pq.write_table(pa.Table.from_pylist([known | event]), file)
    else:
        file.write_text(json.dumps(event) if file.suffix == ".jsonl" else json.dumps([event]))

    (row,) = read_rows(file, tmp_path)
    assert row.event is not None
    cleared = {name for name, value in row.event.items() if value is None}
    assert cleared == (set() if file.suffix == ".parquet" else {"price", "attributes"})
    file = tmp_path / "complete.jsonl"
    file.write_text(json.dumps(event | {"op": "put"}))
    assert None not in (next(iter(read_rows(file, tmp_path))).event or {"": None}).values()


def test_problems_name_the_file_and_the_line(tmp_path: Path) -> None:
    """Also for an event without an item id, which nothing else identifies."""
    file = tmp_path / "a.jsonl"
    lines = [
        '{"item_id": "a"}',
        "{half",
        '{"item_id": "\\ud800"}',
        '{"item_id": "00123"}',
        '{"item_id": 5.5}',
        "{}",
    ]
    file.write_text("\n\n".join(lines))

    first, half, surrogate, zeros, number, nobody = read_rows(file, tmp_path)
    assert (first.event, zeros.event) == ({"item_id": "a"}, {"item_id": "00123"})
    assert half.detail == "a.jsonl line 3: found invalid JSON at column 2, expected an object"
    assert (surrogate.reason, surrogate.raw) == ("item_id_malformed", '{"item_id": "\\ud800"}')
    assert surrogate.detail.startswith("a.jsonl line 5: listing ")
    assert (number.reason, number.raw) == ("item_id_wrong_type", '{"item_id": 5.5}')
    assert "a.jsonl line 9: listing (no id) is not valid: item_id: found 5.5, expected text" in number.detail
    assert (nobody.reason, nobody.location) == ("item_id_missing", "a.jsonl line 11")
