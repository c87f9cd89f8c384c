"""When a worker writes the full-width vectors that wait in memory."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from indexer.worker.embedding_log import EmbeddingLog
from mappings.failures import UNAVAILABLE, ElasticsearchUnavailable
from ml.data.embedding_shards import EmbeddingRow, read_rows, shards_in
from tests.unit.ml.data.test_embedding_shards import row
from tests.waiting import wait_until

BACKBONE = "0" * 16


def all_current(items: Collection[str]) -> Mapping[str, Collection[str]]:
    """Every item has the photos that were encoded."""
    return {item: {row().image_fingerprint} for item in items}


def stored(folder: Path) -> dict[str, list[EmbeddingRow]]:
    """All rows by item."""
    return {item: rows for path in shards_in(folder, BACKBONE) for item, rows in read_rows(path).items()}


def test_a_shard_is_written_when_it_is_full_and_at_the_end(tmp_path: Path) -> None:
    """Until then rows are in memory."""
    log = EmbeddingLog(tmp_path, all_current, most=3)
    log.add(BACKBONE, [row("a"), row("a", 1)])
    assert stored(tmp_path) == {}
    log.add(BACKBONE, [row("b"), row("b", 1)])
    assert sorted(stored(tmp_path)) == ["a", "b"]
    log.add(BACKBONE, [row("c")])
    log.close()
    log.close()
    assert sorted(stored(tmp_path)) == ["a", "b", "c"]
    assert len(shards_in(tmp_path, BACKBONE)) == 2


def test_a_row_waits_only_so_long(tmp_path: Path) -> None:
    """Whether or not others come."""
    EmbeddingLog(tmp_path, all_current, closed_after_s=0.01).add(BACKBONE, [row("a")])
    wait_until(lambda: sorted(stored(tmp_path)) == ["a"], "the shard is written")


def test_what_was_forgotten_or_changed_meanwhile_is_not_written(tmp_path: Path) -> None:
    """Only rows of the photos that an item has now."""
    log = EmbeddingLog(tmp_path, lambda _: {"a": {row().image_fingerprint}, "changed": {"e" * 32}})
    log.add(BACKBONE, [row("a")])
    log.add(BACKBONE, [row("forgotten")])
    log.add(BACKBONE, [replace(row("changed"), image_fingerprint="d" * 32)])
    log.close()
    assert sorted(stored(tmp_path)) == ["a"]


def test_what_cannot_be_written_is_lost_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Indexing goes on."""

    def unavailable(_: object) -> Mapping[str, Collection[str]]:
        raise ElasticsearchUnavailable(UNAVAILABLE, "down")

    (tmp_path / "file").write_text("")
    with caplog.at_level(logging.WARNING):
        for log in (EmbeddingLog(tmp_path, unavailable), EmbeddingLog(tmp_path / "file", all_current)):
            log.add(BACKBONE, [row("a")])
            log.close()
    assert [record.getMessage().split()[0] for record in caplog.records] == ["embeddings_lost"] * 2
