"""The files of a path that are read, and those that are reported as skipped."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from indexer.errors import UnreadableFile
from indexer.intake.files import checked, read_rows, select
from indexer.intake.listing_map import REQUIRED
from indexer.intake.photo_folder import is_photo
from ml.inference import preprocess


def listed(folder: Path) -> list[str]:
    """Return the files that are read, relative to the folder."""
    return [str(file.relative_to(folder)) for file in select(folder).files]


def test_every_file_of_listings_is_read(tmp_path: Path) -> None:
    """In sub-folders, with suffixes in any case, also next to a `listings.jsonl`."""
    names = ["a.CSV", "b/c.tsv", "listings-2.jsonl", "listings.jsonl", "part-0003.JSONL", "z.ndjson"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    pq.write_table(pa.table({name: ["x"] for name in REQUIRED}), tmp_path / "b" / "p.Parquet")

    assert sorted(listed(tmp_path)) == sorted([*names, "b/p.Parquet"])
    assert select(tmp_path).skipped_files == ()


def test_skipped_files_are_named(tmp_path: Path) -> None:
    """Photos and hidden files as groups, all others with a reason."""
    for name in (
        "images/a.jpg",
        "images/b.JPG",
        "images/c.heic",
        ".git/x",
        ".DS_Store",
        "notes.txt",
        "_SUCCESS",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    for name in ("more.csv.bz2", "more.zip", "a.xls", "a.txt.gz"):
        (tmp_path / name).write_text("")
    (tmp_path / "listings.jsonl").write_text("")
    (tmp_path / "judgments.jsonl").write_text('{"query_id": "a", "item_id": "b", "gain": 1}\n')
    (tmp_path / "categories.csv").write_text("id,name\n1,Apparel\n")
    pq.write_table(pa.table({"item_id": ["a"], "clicks": [1]}), tmp_path / "clicks.parquet")
    (tmp_path / "linked").symlink_to(tmp_path / "images")
    (tmp_path / "gone.csv").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe.csv")

    expected = (
        "expected a file that ends in .jsonl, .ndjson, .json, .csv, .tsv (.gz or .zst may follow), .parquet, "
        ".arrow, .feather, .xlsx"
    )
    selection = select(tmp_path)
    assert [file.name for file in selection.files] == ["listings.jsonl"]
    assert {entry.file: (entry.files, entry.reason) for entry in selection.skipped_files} == {
        "*.jpg": (2, "photos"),
        "*.heic": (1, "photos"),
        ".*": (2, "hidden"),
        "_SUCCESS": (1, expected),
        "a.txt.gz": (1, expected),
        "a.xls": (1, "save it as .xlsx or CSV first"),
        "categories.csv": (1, "its rows are not listings"),
        "clicks.parquet": (1, "its rows are not listings"),
        "gone.csv": (1, "not a regular file"),
        "judgments.jsonl": (1, "its rows are not listings"),
        "linked": (1, "a link to a folder"),
        "more.csv.bz2": (1, "unpack it first"),
        "more.zip": (1, "unpack it first"),
        "notes.txt": (1, expected),
        "pipe.csv": (1, "not a regular file"),
    }
    assert str(selection.skipped_files[0]) == "*.heic: photos"
    assert str(selection.skipped_files[1]) == "*.jpg (2 files): photos"


def test_a_file_that_may_have_listings_is_not_skipped(tmp_path: Path) -> None:
    """A damaged file, a missing column or an invalid first line is an error."""
    (tmp_path / "a.parquet").write_text("no")
    (tmp_path / "b.csv").write_text(
        "item_id,title,category,currency,seller_id,status,created_at,updated_at\n"
    )
    (tmp_path / "c.jsonl").write_text(
        '{"half\n{"item_id": "a", "title": "t", "price": 1, "status": "on_sale", "currency": "JPY"}\n'
    )

    assert sorted(listed(tmp_path)) == ["a.parquet", "b.csv", "c.jsonl"]
    for name in ("a.parquet", "b.csv"):
        with pytest.raises(UnreadableFile, match=name):
            checked(tmp_path / name)


def test_a_path_without_listings_is_an_error(tmp_path: Path) -> None:
    """A missing path, a file of another kind, an empty folder, an invalid parquet file."""
    for name in ("notes.txt", "a.jsonl.xz", "a.parquet"):
        (tmp_path / name).write_text("no")

    with pytest.raises(UnreadableFile, match="not found"):
        select(tmp_path / "none")
    with pytest.raises(UnreadableFile, match="expected a file that ends"):
        select(tmp_path / "notes.txt")
    with pytest.raises(UnreadableFile, match="unpack it first"):
        select(tmp_path / "a.jsonl.xz")
    with pytest.raises(UnreadableFile, match=r"a\.parquet"):
        checked(tmp_path / "a.parquet")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UnreadableFile, match="found no listings"):
        select(tmp_path / "empty")


@pytest.mark.parametrize("suffix", [*preprocess.SUFFIXES, ".jxl", ".HEIC"])
def test_every_photo_that_can_be_decoded_is_counted_as_a_photo(suffix: str) -> None:
    """Whatever `mimetypes` knows."""
    assert is_photo(Path(f"a{suffix}"))


def test_files_of_the_same_name_have_different_details(tmp_path: Path) -> None:
    """The detail of a rejected row has the path below the selected folder."""
    for shop in ("a", "b"):
        (tmp_path / shop).mkdir()
        (tmp_path / shop / "listings.jsonl").write_text("{half\n")

    selection = select(tmp_path)
    rows = [
        row for file in selection.files for row in read_rows(file, tmp_path, name=selection.name_of(file))
    ]

    assert [row.detail.partition(":")[0] for row in rows] == [
        "a/listings.jsonl line 1",
        "b/listings.jsonl line 1",
    ]
    assert select(selection.files[0]).name_of(selection.files[0]) == "listings.jsonl"
