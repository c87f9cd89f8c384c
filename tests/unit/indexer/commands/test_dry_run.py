"""`nitamono index` without services: `--dry-run`, `--guess`, `--map` and the options of formats."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli import main
from tests.factories import make_event
from tests.unit.indexer.intake.test_guess import ENGLISH
from tests.unit.indexer.intake.test_listing_map import CSV, SHOP


@pytest.fixture(autouse=True)
def no_services(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing listens there."""
    monkeypatch.setenv("ELASTICSEARCH_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("NITAMONO_REDIS_URL", "redis://127.0.0.1:9/0")


def index(*arguments: object) -> Result:
    """Run the command."""
    return CliRunner().invoke(main, ["index", *map(str, arguments)])


def lines(folder: Path, *rows: object) -> Path:
    """Write JSON lines."""
    file = folder / "a.jsonl"
    file.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))
    return file


def test_a_dry_run_says_row_by_row_what_would_be_refused(tmp_path: Path) -> None:
    """On the terminal, and as CSV with the remedy; a photo that is missing costs the vector alone."""
    (tmp_path / "a.jpg").write_bytes(b"photo")
    file = lines(
        tmp_path,
        make_event(images=["a.jpg"]),
        make_event(item_id="m2", images=["gone.jpg"]),
        make_event(item_id="m3", price="1,290", status="販売中", images=["a.jpg"]),
        "{half",
        make_event(item_id="m5", images=["https://a.example/1.jpg"], price=None),
        make_event(item_id="m6", images=[]),
    )
    done = index(file, "--dry-run", "--report", tmp_path / "report.csv")

    assert done.exit_code == 0, done.output
    table = done.stdout.splitlines()
    assert table[0].split() == ["row", "item", "outcome", "reason", "problem"]
    assert table[1].split()[:6] == ["a.jsonl", "line", "2", "m2", "no", "vector"]
    assert [row.split()[2] for row in table[1:6]] == ["2", "3", "3", "4", "6"]
    assert (
        "Dry run, nothing was sent: 6 listings: 2 indexed, 2 indexed without a vector, 2 rejected."
        in done.stdout
    )
    assert "  price_wrong_type: Pass --locale" in done.stdout
    assert "    a.jsonl line 3 (m3): price: found '1,290', expected a number" in done.stdout
    assert "Without a price: 1. Answers to them have no price band." in done.stdout

    with (tmp_path / "report.csv").open(encoding="utf-8-sig", newline="") as report:
        rows = list(csv.DictReader(report))
    assert [(row["row"], row["item_id"], row["outcome"], row["reason"]) for row in rows] == [
        ("a.jsonl line 2", "m2", "no vector", "photo_not_found"),
        ("a.jsonl line 3", "m3", "rejected", "price_wrong_type"),
        ("a.jsonl line 3", "m3", "rejected", "status_unknown"),
        ("a.jsonl line 4", "", "rejected", "invalid_json"),
        ("a.jsonl line 6", "m6", "no vector", "no_photo"),
    ]
    assert "--map" in rows[2]["remedy"]
    assert rows[2]["problem"].startswith("status: found '販売中', expected")


def test_all_problems_of_a_row_are_reported(tmp_path: Path) -> None:
    """Dates and photos too, where another field is wrong, and where no item id is."""
    bad = make_event(currency="YEN", updated_at="2090-01-01T00:00:00Z", images=["gone.jpg"])
    done = index(lines(tmp_path, bad, bad | {"item_id": None}), "--dry-run", "--report", tmp_path / "r.csv")

    assert "2 listings: 2 rejected." in done.stdout
    with (tmp_path / "r.csv").open(encoding="utf-8-sig", newline="") as report:
        rows = list(csv.DictReader(report))
    assert {row["outcome"] for row in rows} == {"rejected"}
    assert [(row["item_id"], row["reason"]) for row in rows] == [
        ("m1", "currency_unknown"),
        ("m1", "updated_at_in_future"),
        ("m1", "photo_not_found"),
        ("", "item_id_missing"),
        ("", "currency_unknown"),
        ("", "updated_at_in_future"),
    ]


def test_changes_and_removals_are_checked_as_such(tmp_path: Path) -> None:
    """They have no more fields than they change."""
    item = {"item_id": "m1", "updated_at": "2026-01-02T00:00:00Z"}
    price, photo = (item | {"op": "update"} | field for field in ({"price": 5}, {"images": ["gone.jpg"]}))
    unknown = item | {"item_id": "m2", "op": "sell"}
    done = index(lines(tmp_path, price, photo, item | {"op": "remove"}, unknown), "--dry-run")

    assert "4 listings: 2 indexed, 1 indexed without a vector, 1 rejected." in done.stdout
    assert "no_photo" not in done.stdout  # of an unknown operation it is not known whether it needs one
    assert "a.jsonl line 2 (m1): found no file" in done.stdout


def test_any_text_can_be_reported(tmp_path: Path) -> None:
    """Half a surrogate pair, and an id that a spreadsheet would take for a formula."""
    rows = [make_event(item_id="=1+1", title="\ud800"), make_event(item_id="\ud800"), "\\ud800 {"]
    done = index(lines(tmp_path, *rows), "--dry-run", "--report", tmp_path / "report.csv")
    assert done.exit_code == 1, done.output
    assert "3 listings: 3 rejected" in done.stdout
    report = (tmp_path / "report.csv").read_text(encoding="utf-8-sig").splitlines()
    assert report[1].startswith("a.jsonl line 1,'=1+1,rejected,title_malformed,")


def test_a_dry_run_ends_like_a_run(tmp_path: Path) -> None:
    """With status 1 if every listing was rejected or has no vector, and for a file that cannot be read."""
    assert index(lines(tmp_path, make_event(price=-1)), "--dry-run").exit_code == 1
    assert index(lines(tmp_path, make_event(images=[])), "--dry-run").exit_code == 1
    assert index(lines(tmp_path), "--dry-run").exit_code == 0
    (tmp_path / "b.csv").write_text("a,b\n")
    refused = index(tmp_path / "b.csv", "--dry-run")
    assert refused.exit_code == 1
    assert "missing columns" in refused.stderr


def test_a_dry_run_of_many_bad_rows_shows_the_first(tmp_path: Path) -> None:
    """And three of each reason in the summary."""
    photo = "https://a.example/1.jpg"
    file = lines(tmp_path, *(make_event(item_id=f"m{n}", price=-1, images=[photo]) for n in range(250)))
    done = index(file, "--dry-run")
    assert "… and 150 more; --report FILE writes all as CSV" in done.stdout
    assert done.stdout.count("    a.jsonl line") == 3
    found = json.loads(index(file, "--dry-run", "--json").stdout)
    assert (found["total"], found["rejected"]) == (250, {"price_not_positive": 250})
    assert [row for row, _ in found["examples"]["price_not_positive"]] == [
        f"a.jsonl line {n} (m{n - 1})" for n in (1, 2, 3)
    ]


def test_a_map_and_its_formats_are_used(tmp_path: Path) -> None:
    """A detected encoding is named on stderr."""
    (tmp_path / "a.csv").write_text(CSV, encoding="cp932")
    (tmp_path / "map.toml").write_text(SHOP, encoding="utf-8")
    done = index(tmp_path / "a.csv", "--map", tmp_path / "map.toml", "--dry-run")
    assert "a.csv is in cp932; if it is not, pass --encoding." in done.stderr
    assert "2 listings: 1 indexed, 1 indexed without a vector." in done.stdout


def test_options_win_over_a_map(tmp_path: Path) -> None:
    """A German price in a file whose map says Japanese."""
    (tmp_path / "a.csv").write_text(CSV.replace('"1,290"', '"1.290,50"'))
    (tmp_path / "map.toml").write_text(SHOP, encoding="utf-8")
    arguments = [tmp_path / "a.csv", "--map", tmp_path / "map.toml", "--dry-run"]
    assert "1 rejected" in index(*arguments).stdout
    assert "rejected" not in index(*arguments, "--locale", "de").stdout


def test_a_guess_can_be_passed_as_a_map(tmp_path: Path) -> None:
    """As it is printed."""
    (tmp_path / "a.tsv").write_text(ENGLISH)
    guessed = index("--guess", tmp_path / "a.tsv")
    assert guessed.exit_code == 0, guessed.output
    (tmp_path / "map.toml").write_text(guessed.stdout)
    done = index(tmp_path / "a.tsv", "--map", tmp_path / "map.toml", "--dry-run")
    assert "2 listings: 1 indexed, 1 indexed without a vector." in done.stdout


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        (
            "--encoding",
            "nothing",
            "Invalid value for --encoding: found 'nothing', expected an encoding of",
        ),
        ("--locale", "klingon", "Invalid value for --locale: found 'klingon', expected a locale such as de"),
        ("--timezone", "JST+9", "Invalid value for --timezone: found 'JST+9', expected a time zone such as"),
        ("--report", "r.csv", "--report is for --dry-run"),
    ],
)
def test_an_option_that_cannot_be_used_is_refused(
    tmp_path: Path, option: str, value: str, words: str
) -> None:
    """With what is expected."""
    done = index(lines(tmp_path, make_event()), option, value)
    assert done.exit_code == 2
    assert words in done.stderr
