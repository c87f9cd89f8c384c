"""Shards of embeddings, read in chunks: .npy files of float32 rows, and those of ml.data.embedding_shards."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ml.errors import MlError

Vectors = NDArray[np.float32]

PARQUET: Final = ".parquet"
CHUNK_ROWS: Final = 4096
"""25 MB at width 768 in float64: large enough that matrix products, not reading, dominate the time."""

HELD_OUT_EVERY: Final = 20
"""Rows 19, 39, 59 … of each shard are held out to measure the loss of PCA. The choice depends on the shard
alone, so that shards can be added later."""


class BadShard(MlError):
    """A shard of embeddings is missing or unusable."""


@dataclass(frozen=True)
class Shard:
    """A file with a valid header."""

    path: Path
    rows: int
    width: int
    backbone_id: str | None = None
    """That of the full-width vectors of a parquet file; a .npy file does not say."""

    def read(self, rows: range | Sequence[int]) -> Vectors:
        """Read rows, in ascending order, as (n, width) float32, unit norm.

        Raises:
            BadShard: a row is all zeros or has a value that is not finite.
        """
        vectors = self._stored(rows)
        norms = np.linalg.norm(vectors, axis=1)
        bad = np.flatnonzero(~np.isfinite(norms) | (norms == 0))
        if len(bad):
            row = int(bad[0])
            found = "only zeros" if norms[row] == 0 else "NaN or infinite values"
            raise BadShard(
                f"{self.path}: row {rows[row]} has {found}, expected finite numbers; "
                "embed that photo again or remove the row, then rerun: finished shards are skipped"
            )
        return np.asarray(vectors / norms[:, None])

    def _stored(self, rows: range | Sequence[int]) -> Vectors:
        if self.path.suffix == PARQUET:
            from ml.data.embedding_shards import read_vectors  # noqa: PLC0415  pyarrow takes a while to import

            return read_vectors(self.path, rows)
        # Mapped again for each chunk: one long-lived map would keep the whole shard resident.
        chosen = slice(rows.start, rows.stop, rows.step) if isinstance(rows, range) else rows
        return np.array(map_shard(self.path)[chosen], dtype=np.float32)

    def fitted(self) -> Iterator[Vectors]:
        """Yield chunks (≤ CHUNK_ROWS, width) float32, unit norm, of the rows that are not held out."""
        for start in range(0, self.rows, CHUNK_ROWS):
            chunk = self.read(range(start, min(start + CHUNK_ROWS, self.rows)))
            chunk = chunk[(start + np.arange(len(chunk))) % HELD_OUT_EVERY != HELD_OUT_EVERY - 1]
            if len(chunk):
                yield chunk

    @property
    def held_out(self) -> range:
        """The rows that are held out."""
        return range(HELD_OUT_EVERY - 1, self.rows, HELD_OUT_EVERY)

    @property
    def fitted_rows(self) -> int:
        """Number of rows that are not held out."""
        return self.rows - len(self.held_out)


def open_shards(paths: Sequence[Path]) -> list[Shard]:
    """Open the given .npy and parquet files, and those in the given folders, sorted by name.

    Raises:
        BadShard: there is none; one is unreadable, empty or not float32; or widths or backbones differ.
        BadEmbeddingShard: a parquet file is not one of full-width vectors.
    """
    files = [file for path in paths for file in (files_in(path) if path.is_dir() else [path])]
    if not files:
        raise BadShard(
            f"no .npy or parquet file in {', '.join(map(str, paths))}; "
            "create one with `nitamono ml embed … --out NAME.npy`, or by workers with NITAMONO_EMBEDDINGS_DIR"
        )
    shards = [open_shard(path) for path in files]
    for shard in shards:
        if shard.width != shards[0].width:
            raise BadShard(
                f"{shard.path}: rows of {shard.width}, expected {shards[0].width} as in {shards[0].path}; "
                "fit shards of one encoder at a time"
            )
        if shard.backbone_id != shards[0].backbone_id:
            raise BadShard(
                f"{shard.path}: has the backbone {shard.backbone_id}, expected {shards[0].backbone_id} as in "
                f"{shards[0].path}; fit shards of one backbone at a time"
            )
    return shards


def files_in(folder: Path) -> list[Path]:
    """The shards in a folder, sorted by name."""
    return sorted(path for path in folder.iterdir() if path.suffix in (".npy", PARQUET))


def open_shard(path: Path) -> Shard:
    """Open a shard; reads only its header.

    Raises:
        BadShard: it is unreadable, empty or not float32 of shape (n, width).
        BadEmbeddingShard: a parquet file is not one of full-width vectors.
    """
    if path.suffix == PARQUET:
        from ml.data.embedding_shards import dimensions  # noqa: PLC0415  pyarrow takes a while to import

        return Shard(path, *dimensions(path))
    try:
        vectors = map_shard(path)
    except (OSError, ValueError, EOFError) as error:
        raise BadShard(
            f"{path}: cannot be read as .npy ({error}); recreate it with `nitamono ml embed`, or remove it"
        ) from error
    if vectors.dtype != np.float32 or vectors.ndim != 2 or 0 in vectors.shape:
        raise BadShard(
            f"{path}: found {vectors.dtype} of shape {vectors.shape}, expected float32 of (rows, width), "
            "both at least 1; recreate it with `nitamono ml embed`, or remove it"
        )
    return Shard(path, *vectors.shape)


def map_shard(path: Path) -> Vectors:
    """Map the array of a .npy file, (n, width) float32 in a valid shard, into memory."""
    mapped: Vectors = np.load(path, mmap_mode="r", allow_pickle=False)
    return mapped


def held_out_sample(shards: Sequence[Shard], limit: int) -> Vectors:
    """(≤ limit, width) float32, unit norm: a sample of held-out rows, evenly spaced over the shards."""
    return _sample(shards, [shard.held_out for shard in shards], limit)


def sample(shards: Sequence[Shard], limit: int) -> Vectors:
    """(≤ limit, width) float32, unit norm: a sample of all rows, evenly spaced over the shards."""
    return _sample(shards, [range(shard.rows) for shard in shards], limit)


def _sample(shards: Sequence[Shard], rows: Sequence[range], limit: int) -> Vectors:
    counts = [len(each) for each in rows]
    chosen = np.linspace(0, sum(counts) - 1, min(limit, sum(counts))).astype(np.int64)
    ends = np.cumsum(counts)
    samples = []
    for shard, each, end in zip(shards, rows, ends, strict=True):
        own = chosen[(chosen >= end - len(each)) & (chosen < end)] - (end - len(each))
        if len(own):
            samples.append(shard.read([each[one] for one in own.tolist()]))
    return np.concatenate(samples)
