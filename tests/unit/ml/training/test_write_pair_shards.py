"""Writing pair shards: splits, reasons for dropping, replaced and failed runs."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ml.atomic_files import NotWritten
from ml.data.pair_shards import read_report, read_shards
from ml.training.read_corpus import read_corpus
from ml.training.write_pair_shards import PairSettings, write_pairs
from tests.unit.ml.conftest import make_event
from tests.unit.ml.pair_shards import make_shop, read, write

SEASON = ("2026-06-01T09:00:00Z", "2026-07-01T09:00:00Z", "2026-08-31T23:30:00Z", "2026-09-01T00:00:00Z")


def dropped(folder: Path) -> dict[str, int]:
    return read_report(folder).dropped


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_folder_of_shards_is_a_data_path(shop: Path, tmp_path: Path) -> None:
    """The corpus has the splits of the shards, and those of other paths."""
    events = [make_event(f"s{number}", created_at=SEASON[number]) for number in range(4)]
    listings = make_shop(tmp_path / "season", events)
    write(listings, "--out", tmp_path / "out", "--train-until", "2026-08-31")
    corpus = read_corpus([tmp_path / "out", shop], 32)
    splits = dict(zip([pair.item_id for pair in corpus.pairs], corpus.splits.tolist(), strict=True))
    assert len(splits) == 100
    assert [splits[f"s{number}"] for number in range(3)] == ["train"] * 3
    assert splits["s3"] in {"validation", "test"}


def test_a_duplicate_in_another_path_has_the_split_of_the_shards(tmp_path: Path) -> None:
    """A listing with the title of a training pair is in the train split, whatever its hash."""
    titles = [f"Skirt {number}" for number in range(12)]
    old = [make_event(f"a{n}", title=title, created_at=SEASON[0]) for n, title in enumerate(titles)]
    write(make_shop(tmp_path / "old", old), "--out", tmp_path / "out", "--train-until", "2026-08-31")
    again = [make_event(f"b{n}", title=title) for n, title in enumerate(titles)]
    corpus = read_corpus([make_shop(tmp_path / "again", again), tmp_path / "out"], 32)
    assert set(corpus.splits.tolist()) == {"train"}


def test_what_is_left_out_is_counted_by_reason(tmp_path: Path) -> None:
    """Reserved by status and by title in both languages, no title, no photo, not an image, not a listing."""
    listings = make_shop(
        tmp_path,
        [
            make_event("good"),
            make_event("m1", status="reserved"),
            make_event("m2", status="removed"),
            make_event("m3", title="Reserved for Aoi"),
            make_event("m4", title="まりん様専用 スカート"),
            make_event("m5", title="お取り置き スカート"),
            make_event("m6", title=" "),
            make_event("m7", images=[]),
            make_event("m8", images=["images/missing.png"]),
            make_event("m9", images=["listings.jsonl"]),
        ],
    )
    listings.write_bytes(listings.read_bytes() + b"no JSON\n\xff\xfe\n")
    result = write(listings, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert set(read(tmp_path / "out")) == {"good"}
    assert dropped(tmp_path / "out") == {
        "no_photo": 1,
        "no_title": 1,
        "not_a_listing": 2,
        "photo_not_an_image": 1,
        "photo_unreadable": 1,
        "removed": 1,
        "reserved": 1,
        "reserved_title": 3,
    }
    assert "12 read, 1 pairs" in result.output
    assert "dropped 3: reserved_title" in result.output


def test_the_pattern_of_reserved_titles_is_a_setting(tmp_path: Path) -> None:
    """It replaces the default pattern."""
    events = [make_event("m1", title="HOLD: skirt"), make_event("m2", title="Reserved for Aoi")]
    write(make_shop(tmp_path, events), "--out", tmp_path / "out", "--reserved-pattern", "^hold:")
    assert set(read(tmp_path / "out")) == {"m2"}
    assert read_report(tmp_path / "out").reserved_pattern == "^hold:"


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--reserved-pattern", "(", "is not a regular expression"),
        ("--train-until", "soon", "is not a date; expected for example 2026-08-31"),
        ("--rows-per-shard", "0", "is not in the range"),
    ],
)
def test_invalid_settings_are_rejected(
    option: str, value: str, message: str, shop: Path, tmp_path: Path
) -> None:
    """A usage error, before anything is read."""
    result = write(shop, "--out", tmp_path / "out", option, value)
    assert result.exit_code == 2
    assert message in result.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("until", "trained"),
    [
        ("2026-08-31", {"s0", "s1", "s2"}),
        ("2026-08-31T23:30:00Z", {"s0", "s1", "s2"}),
        ("2026-08-31T23:29:59Z", {"s0", "s1"}),
        ("2026-07-01T18:00:00+09:00", {"s0", "s1"}),
        ("2026-05-01", set()),
    ],
)
def test_all_test_listings_are_newer(until: str, trained: set[str], tmp_path: Path) -> None:
    """A date includes its whole day in UTC; a time is compared in its own zone."""
    events = [make_event(f"s{number}", created_at=SEASON[number]) for number in range(4)]
    result = write(make_shop(tmp_path, events), "--out", tmp_path / "out", "--train-until", until)
    pairs = read(tmp_path / "out")
    assert {item_id for item_id, pair in pairs.items() if pair.split == "train"} == trained
    assert len(pairs) == 4
    assert ("warning: no training pairs" in result.output) == (not trained)


def test_later_listings_validate_and_test(tmp_path: Path) -> None:
    """In the proportion of the hash split: 40 to 60."""
    events = [make_event(f"s{n}", title=f"Skirt {n}", created_at=SEASON[3]) for n in range(200)]
    write(make_shop(tmp_path, events), "--out", tmp_path / "out", "--train-until", "2026-08-31")
    splits = read_report(tmp_path / "out").splits
    assert splits["train"] == 0
    assert 100 < splits["test"] < 140
    assert splits["test"] + splits["validation"] == 200


def test_a_later_duplicate_of_a_training_pair_is_left_out(tmp_path: Path) -> None:
    """b has a's photo and c has b's title: both are later than a, so neither is tested on."""
    events = [
        make_event("a", title="One", created_at=SEASON[0]),
        make_event("b", title="Two", created_at=SEASON[3], images=["images/a.png"]),
        make_event("c", title="two", created_at=SEASON[3]),
        make_event("d", title="Three", created_at=SEASON[3]),
        make_event("e", title="Four", created_at=SEASON[0], images=["images/d.png"], status="reserved"),
    ]
    result = write(make_shop(tmp_path, events), "--out", tmp_path / "out", "--train-until", "2026-08-31")
    assert result.exit_code == 0, result.output
    assert set(read(tmp_path / "out")) == {"a", "d"}
    assert dropped(tmp_path / "out") == {"later_duplicate_of_training": 2, "reserved": 1}


def test_listings_without_a_date_are_left_out_of_a_time_split(tmp_path: Path) -> None:
    """Their side is unknown."""
    events = [make_event("m1", created_at=SEASON[0]), make_event("m2"), make_event("m3", created_at="May")]
    listings = make_shop(tmp_path, events)
    write(listings, "--out", tmp_path / "out", "--train-until", "2026-08-31")
    assert dropped(tmp_path / "out") == {"no_created_at": 2}
    write(listings, "--out", tmp_path / "out")
    assert len(read(tmp_path / "out")) == 3


def test_only_the_last_event_of_an_item_counts(tmp_path: Path) -> None:
    """An item whose title was edited is one pair, with the new title."""
    events = [make_event("m1", title="Skrit"), make_event("m2"), make_event("m1", title="Skirt")]
    write(make_shop(tmp_path, events), "--out", tmp_path / "out")
    pairs = list(read_shards(tmp_path / "out"))
    assert {pair.item_id: pair.title for pair in pairs} == {"m1": "Skirt", "m2": "Plain red skirt m2"}
    assert len(pairs) == 2
    assert dropped(tmp_path / "out") == {"earlier_event_of_item": 1}


def test_shards_have_the_requested_size(shop: Path, tmp_path: Path) -> None:
    """Full shards and one remainder per split, with all columns of the schema."""
    out = tmp_path / "out"
    write(shop, "--out", out, "--rows-per-shard", 10)
    report = read_report(out)
    assert report.splits["train"] > 20
    for split, count in report.splits.items():
        shards = [entry for entry in report.shards if entry.split == split]
        assert [entry.rows for entry in shards[:-1]] == [10] * (
            count // 10 if count % 10 else count // 10 - 1
        )
        assert [entry.file for entry in shards] == [f"{split}-{n:05d}.parquet" for n in range(len(shards))]
        assert sum(pq.read_metadata(out / entry.file).num_rows for entry in shards) == count
    row = pq.read_table(out / "train-00000.parquet").to_pylist()[0]
    assert {
        "item_id",
        "photo",
        "title",
        "captions",
        "type",
        "gender",
        "colour",
        "split",
        "source",
        "group",
    } <= set(row)
    names = {path.name for path in out.iterdir()}
    assert names == {entry.file for entry in report.shards} | {"report.json"}, "leftovers"


def test_another_run_replaces_the_first(shop: Path, tmp_path: Path) -> None:
    """No shard of a larger run is left."""
    out = tmp_path / "out"
    write(shop, "--out", out, "--rows-per-shard", 5)
    many = len(list(out.glob("*.parquet")))
    write(shop, "--out", out, "--rows-per-shard", 50)
    assert len(list(out.glob("*.parquet"))) == len(read_report(out).shards) < many


def test_nothing_usable_is_an_error_with_the_reasons(tmp_path: Path) -> None:
    """And no report is written."""
    listings = make_shop(tmp_path, [make_event(status="reserved")])
    result = write(listings, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert f"no usable pair in {listings}: 1 reserved; " in result.output
    assert not (tmp_path / "out").exists()


def test_a_full_disk_is_named_with_the_remedy(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The earlier run is unchanged; a rerun replaces it."""
    out = tmp_path / "out"
    write(shop, "--out", out)
    before = contents(out)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("ml.data.pair_shards.pq.write_table", full)
        result = write(shop, "--out", out)
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert (
        "train-00000.parquet: cannot be written (No space left on device); free disk space" in result.output
    )
    assert contents(out) == before
    assert write(shop, "--out", out, "--rows-per-shard", 10).exit_code == 0
    assert contents(out) != before


def test_a_run_that_finds_nothing_keeps_the_earlier_one(shop: Path, tmp_path: Path) -> None:
    """Such as one with a wrong path."""
    out = tmp_path / "out"
    write(shop, "--out", out)
    before = contents(out)
    (tmp_path / "empty.jsonl").touch()
    assert write(tmp_path / "empty.jsonl", "--out", out).exit_code == 1
    assert contents(out) == before


def test_a_folder_that_cannot_be_created_is_named(shop: Path, tmp_path: Path) -> None:
    """OUT is a file."""
    (tmp_path / "file").touch()
    with pytest.raises(NotWritten, match="cannot be written or read"):
        write_pairs([shop], tmp_path / "file" / "out", PairSettings())
