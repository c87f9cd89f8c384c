"""Shards of full-width vectors of listings' photos: parquet files, named by backbone and time of writing.

A row is a photo of a listing. The rows of a listing are in one file, one after the other, in the order of its
photos.
"""

import os
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ml.atomic_files import old, replaced, writing
from ml.errors import MlError

BACKBONE: Final = b"backbone_id"
"""The key in a file's metadata."""
ROWS_OF_GROUP: Final = 4096


class BadEmbeddingShard(MlError):
    """A parquet file that is not a shard of full-width vectors, or is damaged."""


@dataclass(frozen=True)
class EmbeddingRow:
    """A photo of a listing, by the network of a backbone."""

    item_id: str
    seller_id: str
    image_fingerprint: str
    """That of the listing, see mappings.listing.image_fingerprint."""
    photo: int
    """The position of the photo in the listing, from 0."""
    image_hash: str
    """The perceptual hash of the photo, in hex."""
    version: int
    """That of the listing's newest event when the photo was encoded."""
    embedding: NDArray[np.floating[Any]]
    """(width,) float; float16 in a file."""


def schema_of(width: int, backbone_id: str) -> pa.Schema:
    """The schema of a shard."""
    return pa.schema(
        [
            ("item_id", pa.string()),
            ("seller_id", pa.string()),
            ("image_fingerprint", pa.string()),
            ("photo", pa.int16()),
            ("image_hash", pa.string()),
            ("version", pa.int64()),
            ("embedding", pa.list_(pa.float16(), width)),
        ],
        metadata={BACKBONE: backbone_id},
    )


def write_shard(folder: Path, backbone_id: str, rows: Sequence[EmbeddingRow]) -> Path:
    """Write at least one row to a new shard atomically, and return its path.

    Raises:
        NotWritten: the disk is full, or the folder cannot be created.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for left in filter(old, folder.glob("*.parquet.partial")):  # by a process that was killed
            left.unlink(missing_ok=True)
    vectors = np.stack([row.embedding for row in rows]).astype(np.float16)
    width = vectors.shape[1]
    schema = schema_of(width, backbone_id)
    columns = [
        pa.array([getattr(row, name) for row in rows], schema.field(name).type) for name in schema.names[:-1]
    ]
    columns.append(pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), width))
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
    path = folder / f"{backbone_id}-{moment}-{os.getpid()}-{secrets.token_hex(2)}.parquet"
    with replaced(path) as file:
        pq.write_table(
            pa.table(columns, schema=schema), file, compression="zstd", row_group_size=ROWS_OF_GROUP
        )
    return path


def shards_in(folder: Path, backbone_id: str) -> list[Path]:
    """The shards of a backbone in a folder, the newest first."""
    return sorted(folder.glob(f"{backbone_id}-*.parquet"), reverse=True)


def stored_items(folder: Path, backbone_id: str) -> set[tuple[str, str]]:
    """Item and image_fingerprint of all rows of a backbone in a folder.

    Raises:
        BadEmbeddingShard: a file cannot be read or has other columns.
    """
    found: set[tuple[str, str]] = set()
    for path in shards_in(folder, backbone_id):
        try:
            table = pq.read_table(path, columns=["item_id", "image_fingerprint"])
            found.update(zip(*(column.to_pylist() for column in table.columns), strict=True))
        except (OSError, ValueError) as error:
            raise _bad(path, error) from error
    return found


def read_rows(path: Path) -> dict[str, list[EmbeddingRow]]:
    """Read the rows of a shard by item. If an item was encoded several times, those of the last time.

    Raises:
        BadEmbeddingShard: the file cannot be read or has other columns.
    """
    try:
        table = pq.read_table(path)
        values = {name: table[name].to_pylist() for name in table.column_names if name != "embedding"}
        vectors = _vectors(table["embedding"])
        rows = [
            EmbeddingRow(**dict(zip(values, row, strict=True)), embedding=vector)
            for row, vector in zip(zip(*values.values(), strict=True), vectors, strict=True)
        ]
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
    ) as error:  # ArrowInvalid is a ValueError
        raise _bad(path, error) from error
    return {item: last_encoded(group) for item, group in groupby(rows, lambda row: row.item_id)}


def last_encoded(rows: Iterable[EmbeddingRow]) -> list[EmbeddingRow]:
    """The rows of the last time that an item was encoded: positions start again each time."""
    last: list[EmbeddingRow] = []
    for row in rows:
        last = [*last, row] if last and row.photo > last[-1].photo else [row]
    return last


def dimensions(path: Path) -> tuple[int, int, str]:
    """Rows, width and backbone_id of a shard; reads only its footer.

    Raises:
        BadEmbeddingShard: the file cannot be read or has other columns.
    """
    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            width = schema.field("embedding").type.list_size
            return file.metadata.num_rows, width, (schema.metadata or {})[BACKBONE].decode()
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise _bad(path, error) from error


def read_vectors(path: Path, rows: range | Sequence[int]) -> NDArray[np.float32]:
    """(n, width) float32 of rows in ascending order; reads only the row groups that have them.

    Raises:
        BadEmbeddingShard: the file cannot be read.
    """
    wanted = np.asarray(rows, np.int64)
    found, start = [], 0
    try:
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                end = start + file.metadata.row_group(group).num_rows
                own = wanted[(wanted >= start) & (wanted < end)] - start
                if len(own):
                    found.append(
                        _vectors(file.read_row_group(group, columns=["embedding"])["embedding"])[own]
                    )
                start = end
    except (OSError, ValueError) as error:
        raise _bad(path, error) from error
    return np.concatenate(found).astype(np.float32)


def _vectors(column: pa.ChunkedArray) -> NDArray[np.float16]:
    """(n, width) float16 of a column of lists."""
    width = column.type.list_size
    flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return np.asarray(flat, np.float16).reshape(-1, width)


def _bad(path: Path, error: Exception) -> BadEmbeddingShard:
    return BadEmbeddingShard(
        f"{path}: not a shard of full-width vectors ({error!r}), expected parquet that workers wrote to "
        "NITAMONO_EMBEDDINGS_DIR; repair or delete it: its photos are then read again"
    )
