"""Deletion of rows from parquet files."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from events.parquet_rows import count_rows, delete_rows


def test_rows_with_a_value_in_either_column_are_deleted(tmp_path: Path) -> None:
    """Nulls and the other columns stay; a file whose rows all go is deleted."""
    path = tmp_path / "part.parquet"
    columns = {"item_id": ["m1", "m2", None, "m4"], "seller_id": ["a", "b", "c", "b"], "vector": [[1.0]] * 4}
    pq.write_table(pa.table(columns), path)
    wanted = {"item_id": ["m1"], "seller_id": ["b"]}
    assert count_rows(path, wanted) == (3, 4)
    assert delete_rows(path, wanted) == 3
    assert pq.read_table(path).to_pylist() == [{"item_id": None, "seller_id": "c", "vector": [1.0]}]
    assert delete_rows(path, wanted) == 0
    assert delete_rows(path, {"seller_id": ["c"], "other": ["x"]}) == 1
    assert not path.exists()


def test_a_file_without_any_of_the_columns_is_an_error(tmp_path: Path) -> None:
    """Nobody can say whose its rows are."""
    path = tmp_path / "part.parquet"
    pq.write_table(pa.table({"id": ["m1"]}), path)
    with pytest.raises(KeyError, match="item_id or seller_id"):
        delete_rows(path, {"item_id": ["m1"], "seller_id": []})
