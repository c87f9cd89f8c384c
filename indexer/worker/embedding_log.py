"""The full-width vectors that a worker process encodes, written to shards."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

from mappings.failures import ElasticsearchUnavailable
from ml.atomic_files import NotWritten
from ml.data.embedding_shards import ROWS_OF_GROUP, EmbeddingRow, write_shard
from telemetry.logs import line

log = logging.getLogger(__name__)

CLOSED_AFTER_S: Final = 60.0
"""The longest time that a row waits in memory for others."""

Current = Callable[[Collection[str]], Mapping[str, Collection[str]]]
"""Returns, by item, the fingerprints of the photos in its documents."""


class EmbeddingLog:
    """Rows that wait in memory until there are enough for a shard, or for CLOSED_AFTER_S. Thread-safe.

    current: those of other photos than an item has by then are not written; None for all.

    A process that is killed loses them: these photos are read again when they are needed. So does one that
    cannot write them, with a warning.
    """

    def __init__(
        self,
        folder: Path,
        current: Current | None = None,
        *,
        most: int = ROWS_OF_GROUP,
        closed_after_s: float = CLOSED_AFTER_S,
    ) -> None:
        self._folder = folder
        self._current = current
        self._most = most
        self._closed_after_s = closed_after_s
        self._rows: dict[str, list[EmbeddingRow]] = {}
        self._timer: threading.Timer | None = None
        self._turn = threading.Lock()
        self._writing = threading.Lock()

    def add(self, backbone_id: str, rows: Sequence[EmbeddingRow]) -> None:
        """Keep the rows of an item, whose photos were encoded together."""
        with self._turn:
            waiting = self._rows.setdefault(backbone_id, [])
            waiting += rows
            full = len(waiting) >= self._most
            if self._timer is None and not full:
                self._timer = threading.Timer(self._closed_after_s, self.close)
                self._timer.daemon = True
                self._timer.start()
        if full:
            self.close()

    def close(self) -> None:
        """Write what waits to shards, one a backbone, after those that are being written."""
        with self._writing:
            with self._turn:
                waiting, self._rows = self._rows, {}
                if self._timer:
                    self._timer.cancel()
                    self._timer = None
            for backbone_id, rows in waiting.items():
                self._write(backbone_id, rows)

    def _write(self, backbone_id: str, rows: Sequence[EmbeddingRow]) -> None:
        """Write the rows whose photos are still those of a document: an item may be forgotten meanwhile."""
        try:
            if kept := self._current_ones(rows):
                write_shard(self._folder, backbone_id, kept)
        except (ElasticsearchUnavailable, NotWritten) as error:
            log.warning(line("embeddings_lost", rows=len(rows), detail=str(error)[:300]))

    def _current_ones(self, rows: Sequence[EmbeddingRow]) -> Sequence[EmbeddingRow]:
        if self._current is None:
            return rows
        current = self._current({row.item_id for row in rows})
        return [row for row in rows if row.image_fingerprint in current.get(row.item_id, ())]
