"""Files of listings in a bucket and on a web server."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from cli import main
from indexer.commands.location import Location
from indexer.errors import UnreadableFile
from indexer.intake.listing_map import NO_MAP
from indexer.intake.sources import remote
from indexer.intake.sources.remote import remote_source
from indexer.intake.sources.source import Source
from tests.factories import make_event
from tests.photo_server import broken_off, photo_server, redirect, serve
from tests.s3_server import BUCKET, S3Server, s3_server
from tests.unit.indexer.intake.test_csv_file import table


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    """A server of S3 with files of listings, photos and others."""
    with s3_server() as server:
        row = json.dumps(
            make_event(item_id="m1", images=["images/a.jpg", "/b.jpg", "https://c.example/c.jpg"])
        )
        server.put("shop/listings.jsonl", row.encode())
        server.put("shop/more/shoes.csv", table("Red shoes").encode())
        server.put("shop/images/a.jpg", b"photo")
        server.put("shop/notes.txt", b"notes")
        server.put("shop/more/../../escaped.jsonl", b"{}")
        yield server


def images_of(source: Source) -> list[object]:
    """Return the photos of the listings, after a check."""
    source.check(NO_MAP)
    return [row.event and row.event.get("images") for row in source.read(NO_MAP)]


def test_a_file_of_a_bucket_is_read_with_photos_beside_it(s3: S3Server) -> None:
    """Relative ones are in the bucket, too, unless a root is given."""
    url = f"s3://{BUCKET}/shop/listings.jsonl"
    rest = ["/b.jpg", "https://c.example/c.jpg"]
    with remote_source(url, None, NO_MAP) as source:
        assert images_of(source) == [[f"s3://{BUCKET}/shop/images/a.jpg", *rest]]
        assert (source.name, source.photo_folder) == (url, None)
    with remote_source(url, "https://cdn.example/photos", NO_MAP) as source:
        assert images_of(source) == [["https://cdn.example/photos/images/a.jpg", *rest]]
    with remote_source(url, Path("/data"), NO_MAP) as source:
        assert images_of(source) == [["/data/images/a.jpg", *rest]]
        assert source.photo_folder == Path("/data")


def test_files_below_a_prefix_are_read_and_the_others_named(s3: S3Server) -> None:
    """Photos are not copied; a key that is no path of a file is not followed."""
    with remote_source(f"s3://{BUCKET}/shop", None, NO_MAP) as source:
        rows = [row.location for row in source.read(NO_MAP)]
        skipped = {entry.file: entry.reason for entry in source.skipped_files}

    assert rows == ["listings.jsonl line 1", "more/shoes.csv line 2"]
    assert skipped["*.jpg"] == "photos"
    assert skipped["more/../../escaped.jsonl"] == "not the name of a file"
    assert "expected a file that ends in" in skipped["notes.txt"]


def test_a_columnar_file_of_a_bucket_is_read(s3: S3Server, tmp_path: Path) -> None:
    """Although it is not read from beginning to end."""
    pq.write_table(pa.Table.from_pylist([make_event(attributes={"colour": "Red"})]), tmp_path / "a.parquet")
    with remote_source(s3.put("a.parquet", (tmp_path / "a.parquet").read_bytes()), None, NO_MAP) as source:
        assert source.check(NO_MAP).rows == 1


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("none.csv", f"s3://{BUCKET}/none.csv: not found"),
        ("none/", f"s3://{BUCKET}/none/: not found"),
        ("shop/notes.txt", f"s3://{BUCKET}/shop/notes.txt: expected a file that ends in"),
        ("shop/images", f"s3://{BUCKET}/shop/images: found no listings, .*; skipped \\*.jpg: photos"),
        ("bad.csv", f"s3://{BUCKET}/bad.csv: missing columns"),
    ],
)
def test_what_cannot_be_read_is_named_by_its_url(s3: S3Server, path: str, message: str) -> None:
    """Not by the name of a temporary copy."""
    s3.put("bad.csv", b"a,b\n1,2\n")
    with (
        pytest.raises(UnreadableFile, match=f"^{message}") as caught,
        remote_source(f"s3://{BUCKET}/{path}", None, NO_MAP) as source,
    ):
        source.check(NO_MAP)
    assert tempfile.gettempdir() not in str(caught.value)


def test_a_web_server_is_read_and_its_signature_is_not_shown() -> None:
    """With redirects. What is cut off is refused."""
    with photo_server() as server:
        start = server.url("/shop/a%20b.csv?token=secret", redirect("/real"))
        server.url("/real", serve(table("Red skirt").encode()))
        with remote_source(start, None, NO_MAP) as source:
            assert source.name == f"http://127.0.0.1:{server.server_port}/shop/a%20b.csv"
            assert len(images_of(source)) == 1
        for answer, said in ((serve(b"", 404), "not found"), (broken_off, "ClientPayloadError")):
            url = server.url("/b.csv?token=secret", answer)
            with pytest.raises(UnreadableFile, match=f"/b.csv: .*{said}") as caught:
                remote_source(url, None, NO_MAP).__enter__()
            assert "secret" not in str(caught.value)


def test_a_copy_ends_before_the_disk_is_full(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the way to use another one."""
    monkeypatch.setattr(remote, "SPARE", 2**80)
    with pytest.raises(UnreadableFile, match=r"listings.jsonl: it does not fit.*; set TMPDIR"):
        remote_source(f"s3://{BUCKET}/shop/listings.jsonl", None, NO_MAP).__enter__()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            "ftp://example.com/a.csv",
            "found a URL with ftp://, expected a path or s3://, gs://, https://, http://",
        ),
        ("postgresql://db/shop", "a database is read with --sql and --query"),
        ("none.csv", "Path 'none.csv' does not exist"),
    ],
)
def test_other_locations_are_refused(value: str, message: str) -> None:
    """With what is expected."""
    with pytest.raises(click.BadParameter, match=message):
        Location().convert(value, None, None)


def test_the_command_checks_files_of_a_bucket(s3: S3Server) -> None:
    """A dry run needs no services; photos in the bucket are not missing files."""
    done = CliRunner().invoke(main, ["index", f"s3://{BUCKET}/shop/listings.jsonl", "--dry-run"])

    assert done.exit_code == 0, done.output
    assert "1 listing: 1 indexed." in done.stdout
    guess = CliRunner().invoke(main, ["index", f"S3://{BUCKET}/shop/more/shoes.csv", "--guess"])
    assert f"# A map for s3://{BUCKET}/shop/more/shoes.csv" in guess.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Pass PATH, or --sql URL with --query."),
        (["--sql", "sqlite://"], "--sql needs --query."),
        (["a.csv", "--since", "updated_at"], "--since needs --query."),
        (["a.csv", "--query", "SELECT 1"], "Pass PATH or --query, not both."),
        (["--query", "SELECT 1"], "--query needs --sql URL, or NITAMONO_SQL_URL."),
        (["--query", "SELECT 1", "--full"], "--full is for --since"),
    ],
)
def test_a_source_must_be_named_once(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file or a query."""
    monkeypatch.chdir(tmp_path)
    Path("a.csv").write_text(table("Red skirt"))
    done = CliRunner().invoke(main, ["index", *arguments])
    assert (done.exit_code, message in done.output) == (2, True), done.output
