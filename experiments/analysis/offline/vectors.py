"""Vectors of any encoder, as `nitamono ml embed` writes them, and the cosines of slates' items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from experiments.analysis.offline.slates import Integers, Slates
from experiments.errors import ExperimentError
from ml.data.vector_shards import Vectors, map_shard, open_shard
from ml.inference.embed import ids_path, read_ids

CHUNK: Final = 512
"""Slates per batch: 40 MB of vectors at width 768 and 25 items."""


class UnusableVectors(ExperimentError):
    """Vectors without valid ids, or without a direction."""


@dataclass(frozen=True)
class ItemVectors:
    """The vectors of one encoder, memory-mapped."""

    name: str
    path: Path
    rows: dict[str, int]
    """Item id to the row of its vector; the last row of an item that was embedded again."""

    def rows_of(self, item_ids: list[str]) -> Integers:
        """Row of each item, (len(item_ids),) int64; -1 without a vector."""
        return np.array([self.rows.get(item_id, -1) for item_id in item_ids], dtype=np.int64)

    def cosines(self, slates: Slates) -> NDArray[np.float64]:
        """Cosine of each item shown with the query item, (s, n) float64; -inf beyond a slate's end.

        Raises:
            UnusableVectors: the vector of a slate's item is not finite, or only zeros.
        """
        rows, beyond = self.rows_of(slates.item_ids), slates.items < 0
        query = rows[slates.query]
        items = np.where(beyond, query[:, None], rows[slates.items])
        vectors, cosines = map_shard(self.path), np.empty(items.shape)
        for start in range(0, len(query), CHUNK):
            part = slice(start, start + CHUNK)
            asked, shown = self._normalized(vectors, query[part]), self._normalized(vectors, items[part])
            cosines[part] = np.einsum("sd,snd->sn", asked, shown)
        return np.where(beyond, -np.inf, cosines)

    def _normalized(self, vectors: Vectors, rows: Integers) -> Vectors:
        """Vectors (…, d) float32 of unit norm, for rows (…) int64."""
        found = vectors[rows]
        norms = np.linalg.norm(found, axis=-1, keepdims=True)
        if not np.isfinite(norms).all() or not norms.all():
            row = int(rows[~(np.isfinite(norms) & (norms > 0))[..., 0]][0])
            raise UnusableVectors(
                f"{self.path}: row {row} has NaN, infinite values or only zeros, expected a direction; "
                "embed that photo again, or leave its row out"
            )
        return np.asarray(found / norms, dtype=np.float32)


def read_vectors(name: str, path: Path) -> ItemVectors:
    """The vectors of NAME.npy, whose ids are in NAME.ids.txt in the same folder.

    Raises:
        BadShard: not a .npy of float32 rows.
        UnusableVectors: the ids are missing, or not one for each row.
    """
    shard, ids_file = open_shard(path), ids_path(path)
    try:
        ids = read_ids(ids_file)
    except (OSError, UnicodeDecodeError) as error:
        raise UnusableVectors(
            f"{ids_file}: {error}; expected the ids of {path.name}, one per line, by `nitamono ml embed`"
        ) from error
    if len(ids) != shard.rows:
        raise UnusableVectors(
            f"{ids_file}: {len(ids):,} ids, expected {shard.rows:,}, one for each row of {path.name}; "
            "write both again with `nitamono ml embed`"
        )
    return ItemVectors(name, path, {item_id: row for row, item_id in enumerate(ids)})


def with_vectors(slates: Slates, encoders: Sequence[ItemVectors]) -> NDArray[np.bool_]:
    """Whether every encoder has the vectors of the query item and of all items shown, (s,) bool."""
    known = np.ones(len(slates.item_ids) + 1, dtype=np.bool_)  # the last is for indices beyond a slate's end
    for encoder in encoders:
        known[:-1] &= encoder.rows_of(slates.item_ids) >= 0
    return np.asarray(known[slates.query] & known[slates.items].all(axis=1))
