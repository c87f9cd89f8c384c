"""Shards of full-width vectors: what is written is read, by item and by row."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from events.parquet_rows import delete_rows
from ml.data.embedding_shards import (
    ROWS_OF_GROUP,
    BadEmbeddingShard,
    EmbeddingRow,
    read_rows,
    shards_in,
    write_shard,
)
from ml.data.unit_vectors import normalize
from ml.data.vector_shards import BadShard, open_shards, sample

WIDTH = 8


def row(item_id: str = "m1", photo: int = 0, *, seller_id: str = "s1", seed: int = 0) -> EmbeddingRow:
    """A row with a random vector."""
    vector = np.random.default_rng(seed).standard_normal(WIDTH)
    return EmbeddingRow(item_id, seller_id, "f" * 32, photo, "0" * 16, 7, vector / np.linalg.norm(vector))


def vectors_of(rows: Sequence[EmbeddingRow]) -> np.ndarray:
    """(n, WIDTH) float32 of rows."""
    return np.stack([each.embedding for each in rows]).astype(np.float32)


def test_rows_are_read_by_item(tmp_path: Path) -> None:
    """Those of its last time, in the order of its photos; vectors as float16."""
    rows = [row("a", 0), row("a", 1, seed=1), row("b", seed=2), row("a", 0, seed=3), row("a", 1, seed=4)]
    found = read_rows(write_shard(tmp_path / "new", "0" * 16, rows))
    assert sorted(found) == ["a", "b"]
    assert [each.photo for each in found["a"]] == [0, 1]
    assert vectors_of(found["a"]) == pytest.approx(vectors_of(rows[3:]), abs=1e-3)
    assert (found["b"][0].seller_id, found["b"][0].version) == ("s1", 7)


def test_shards_are_found_by_backbone_the_newest_first(tmp_path: Path) -> None:
    """Others, and files of another kind, are left alone."""
    first = write_shard(tmp_path, "0" * 16, [row()])
    write_shard(tmp_path, "1" * 16, [row()])
    second = write_shard(tmp_path, "0" * 16, [row()])
    assert shards_in(tmp_path, "0" * 16) == [second, first]


def test_shards_are_read_as_those_of_fit_pca(tmp_path: Path) -> None:
    """Across row groups, as unit vectors."""
    rows = [row(f"m{number}", seed=number) for number in range(ROWS_OF_GROUP + 10)]
    (shard,) = open_shards([write_shard(tmp_path, "0" * 16, rows).parent])
    assert (shard.rows, shard.width, shard.backbone_id) == (len(rows), WIDTH, "0" * 16)
    expected = normalize(vectors_of(rows))
    assert shard.read(range(ROWS_OF_GROUP - 3, ROWS_OF_GROUP + 3)) == pytest.approx(
        expected[ROWS_OF_GROUP - 3 : ROWS_OF_GROUP + 3], abs=1e-3
    )
    assert shard.read([1, ROWS_OF_GROUP + 9]) == pytest.approx(expected[[1, -1]], abs=1e-3)
    assert len(sample([shard], 50)) == 50
    assert sum(map(len, shard.fitted())) == shard.fitted_rows


def test_shards_of_two_backbones_are_not_mixed(tmp_path: Path) -> None:
    """Even of one width."""
    write_shard(tmp_path, "0" * 16, [row()])
    write_shard(tmp_path, "1" * 16, [row()])
    with pytest.raises(BadShard, match="fit shards of one backbone at a time"):
        open_shards([tmp_path])


def test_forgetting_rows_keeps_the_rest_of_a_shard(tmp_path: Path) -> None:
    """With its backbone."""
    path = write_shard(tmp_path, "0" * 16, [row("m1", seller_id="bad"), row("m2", seed=1), row("m3", seed=2)])
    assert delete_rows(path, {"item_id": ["m3"], "seller_id": ["bad"]}) == 2
    assert list(read_rows(path)) == ["m2"]
    assert open_shards([path])[0].backbone_id == "0" * 16


def test_another_file_is_named(tmp_path: Path) -> None:
    """With what was expected."""
    path = tmp_path / "other.parquet"
    pq.write_table(pa.table({"item_id": ["m1"]}), path)
    for read in (read_rows, lambda path: open_shards([path])):
        with pytest.raises(BadEmbeddingShard, match=r"other\.parquet: not a shard of full-width vectors"):
            read(path)
