"""Reading pair shards."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ml.data.pair_shards import BadPairShard, read_report, read_shards
from ml.training.read_corpus import read_corpus
from tests.unit.ml.conftest import make_event
from tests.unit.ml.pair_shards import make_shop, read, write


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def lose_rows(path: Path) -> None:
    pq.write_table(pq.read_table(path).slice(1), path)


def lose_a_column(path: Path) -> None:
    pq.write_table(pq.read_table(path).drop_columns(["captions"]), path)


def test_pairs_are_read_back_unchanged(shop: Path, tmp_path: Path) -> None:
    """Every field, with the splits that the listings would have."""
    result = write(shop, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    direct = read_corpus([shop], 48)
    pairs = read(tmp_path / "out")
    assert len(pairs) == 96
    for pair, split in zip(direct.pairs, direct.splits.tolist(), strict=True):
        found = pairs[pair.item_id]
        assert (found.title, found.captions, found.labels) == (pair.title, pair.captions, pair.labels)
        assert (found.photo, found.source, found.split) == (pair.photo, str(shop), split)


def test_one_split_can_be_read(shop: Path, tmp_path: Path) -> None:
    """The shards of the others are skipped."""
    write(shop, "--out", tmp_path / "out")
    tested = list(read_shards(tmp_path / "out", "test"))
    assert {pair.split for pair in tested} == {"test"}
    assert len(tested) == read_report(tmp_path / "out").splits["test"]


def test_times_are_kept(tmp_path: Path) -> None:
    """In UTC."""
    write(
        make_shop(tmp_path, [make_event(created_at="2026-06-01T09:00:00+09:00")]), "--out", tmp_path / "out"
    )
    (pair,) = read_shards(tmp_path / "out")
    assert pair.created == datetime(2026, 6, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "spoil", [cut, Path.unlink, lose_rows, lose_a_column, lambda path: path.write_bytes(b"")]
)
def test_a_damaged_shard_is_named_with_the_remedy(spoil, shop: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]  # functions of any result
    """Truncated, missing, with fewer rows or another schema."""
    out = tmp_path / "out"
    write(shop, "--out", out)
    spoil(out / "train-00000.parquet")
    with pytest.raises(
        BadPairShard, match=r"train-00000\.parquet: .*run `nitamono ml pairs … --out .*out` again"
    ):
        read_corpus([out], 32)
    write(shop, "--out", out)
    assert len(read_corpus([out], 32).pairs) == 96


def test_a_report_of_something_else_is_named(tmp_path: Path) -> None:
    """Such as one of another command."""
    (tmp_path / "report.json").write_text(json.dumps({"solver": "streaming"}))
    with pytest.raises(BadPairShard, match=r"report\.json: not a report of training pairs"):
        read_corpus([tmp_path], 32)
