"""Shards of embeddings: .npy files of float32 rows, read in chunks. NumPy only."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ml.errors import MlError

Vectors = NDArray[np.float32]

CHUNK_ROWS: Final = 4096
"""25 MB at width 768 in float64: large enough that matrix products, not reading, dominate the time."""

HELD_OUT_EVERY: Final = 20
"""Rows 19, 39, 59 … of each shard are held out to measure the loss of PCA. The choice depends on the shard
alone, so that shards can be added later."""


class BadShard(MlError):
    """A shard of embeddings is missing or unusable."""


@dataclass(frozen=True)
class Shard:
    """A .npy file with a valid header."""

    path: Path
    rows: int
    width: int

    def read(self, rows: slice) -> Vectors:
        """Read rows as (n, width) float32, unit norm.

        Raises:
            BadShard: a row is all zeros or has a value that is not finite.
        """
        # Mapped again for each chunk: one long-lived map would keep the whole shard resident.
        vectors = np.array(map_shard(self.path)[rows], dtype=np.float32)
        norms = np.linalg.norm(vectors, axis=1)
        bad = np.flatnonzero(~np.isfinite(norms) | (norms == 0))
        if len(bad):
            row = int(bad[0])
            found = "only zeros" if norms[row] == 0 else "NaN or infinite values"
            raise BadShard(
                f"{self.path}: row {range(self.rows)[rows][row]} has {found}, expected finite numbers; "
                "embed that photo again or remove the row, then rerun: finished shards are skipped"
            )
        return np.asarray(vectors / norms[:, None])

    def fitted(self) -> Iterator[Vectors]:
        """Yield chunks (≤ CHUNK_ROWS, width) float32, unit norm, of the rows that are not held out."""
        for start in range(0, self.rows, CHUNK_ROWS):
            chunk = self.read(slice(start, min(start + CHUNK_ROWS, self.rows)))
            chunk = chunk[(start + np.arange(len(chunk))) % HELD_OUT_EVERY != HELD_OUT_EVERY - 1]
            if len(chunk):
                yield chunk

    @property
    def held_out(self) -> slice:
        """The rows that are held out."""
        return slice(HELD_OUT_EVERY - 1, self.rows, HELD_OUT_EVERY)

    @property
    def fitted_rows(self) -> int:
        """Number of rows that are not held out."""
        return self.rows - len(range(self.rows)[self.held_out])


def open_shards(paths: Sequence[Path]) -> list[Shard]:
    """Open the given .npy files, and those in the given folders, sorted by name.

    Raises:
        BadShard: there is none; one is unreadable, empty or not float32; or widths differ.
    """
    files = [file for path in paths for file in (sorted(path.glob("*.npy")) if path.is_dir() else [path])]
    if not files:
        raise BadShard(
            f"no .npy file in {', '.join(map(str, paths))}; "
            "create one with `nitamono ml embed … --out NAME.npy`"
        )
    shards = [open_shard(path) for path in files]
    for shard in shards:
        if shard.width != shards[0].width:
            raise BadShard(
                f"{shard.path}: rows of {shard.width}, expected {shards[0].width} as in {shards[0].path}; "
                "fit shards of one encoder at a time"
            )
    return shards


def open_shard(path: Path) -> Shard:
    """Open a shard; reads only its header.

    Raises:
        BadShard: it is unreadable, empty or not float32 of shape (n, width).
    """
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
    counts = [len(range(shard.rows)[shard.held_out]) for shard in shards]
    chosen = np.linspace(0, sum(counts) - 1, min(limit, sum(counts))).astype(np.int64)
    ends = np.cumsum(counts)
    samples = []
    for shard, count, end in zip(shards, counts, ends, strict=True):
        rows = range(shard.rows)[shard.held_out]
        own = chosen[(chosen >= end - count) & (chosen < end)] - (end - count)
        samples += [shard.read(slice(rows[one], rows[one] + 1)) for one in own.tolist()]
    return np.concatenate(samples)
