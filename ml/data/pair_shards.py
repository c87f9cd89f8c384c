"""Parquet shards of training pairs: schema, report and readers. ml.training.write_pair_shards writes them."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ValidationError

from ml.data.pairs import SHARDS_REPORT, Labels, Pair, Split
from ml.errors import MlError

SPLITS: Final[tuple[Split, ...]] = ("train", "validation", "test")
SCHEMA: Final = pa.schema(
    [
        ("item_id", pa.string()),
        ("photo", pa.string()),
        ("title", pa.string()),
        ("captions", pa.list_(pa.string())),
        ("type", pa.string()),
        ("gender", pa.string()),
        ("colour", pa.string()),
        ("source", pa.string()),
        ("price", pa.float64()),
        ("created_at", pa.timestamp("us", tz="UTC")),
        ("split", pa.string()),
        ("group", pa.string()),
    ]
)


class BadPairShard(MlError):
    """A folder of pairs that is damaged or incomplete."""


class ShardEntry(BaseModel):
    """A shard's entry in the report."""

    file: str
    split: Split
    rows: int


class PairsReport(BaseModel):
    """Counts of the pairs written, and of those dropped by reason."""

    format: Literal["nitamono pairs 1"] = "nitamono pairs 1"
    sources: list[str]
    reserved_pattern: str
    train_until: datetime | None
    read: int
    """Lines and photos read: pairs plus dropped."""
    pairs: int
    splits: dict[Split, int]
    groups: int
    largest_group: int
    dropped: dict[str, int]
    shards: list[ShardEntry]


def to_table(rows: Sequence[tuple[Pair, str]]) -> pa.Table:
    """Convert pairs and the keys of their groups to a table in SCHEMA."""
    return pa.Table.from_pylist(
        [
            {
                "item_id": pair.item_id,
                "photo": str(pair.photo.absolute()),
                "title": pair.title,
                "captions": list(pair.captions),
                "type": pair.labels.type,
                "gender": pair.labels.gender,
                "colour": pair.labels.colour,
                "source": pair.source,
                "price": pair.price,
                "created_at": pair.created,
                "split": pair.split,
                "group": key,
            }
            for pair, key in rows
        ],
        schema=SCHEMA,
    )


def pairs_of(parquet: pq.ParquetFile) -> Iterator[Pair]:
    """The pairs of an open shard."""
    for batch in parquet.iter_batches(batch_size=4096):
        for row in batch.to_pylist():
            yield Pair(
                row["item_id"],
                Path(row["photo"]),
                row["title"],
                tuple(row["captions"]),
                Labels(row["type"], row["gender"], row["colour"]),
                row["source"],
                price=row["price"],
                created=row["created_at"],
                split=row["split"],
            )


def read_shards(folder: Path, split: Split | None = None) -> Iterator[Pair]:
    """Read the pairs of a folder that write_pairs wrote, a batch at a time. split: only pairs of this split.

    Raises:
        BadPairShard: the report or a shard cannot be read, or one lacks rows.
    """
    for entry in read_report(folder).shards:
        if split in {None, entry.split}:
            yield from read_shard(folder / entry.file, entry.rows)


def read_report(folder: Path) -> PairsReport:
    """Read the report of a folder of shards.

    Raises:
        BadPairShard: there is none, or it is damaged.
    """
    path = folder / SHARDS_REPORT
    try:
        return PairsReport.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise BadPairShard(
            f"{path}: not a report of training pairs ({error}); "
            "name a folder that `nitamono ml pairs` wrote, or run it again"
        ) from error


def read_shard(path: Path, rows: int) -> Iterator[Pair]:
    """Read the pairs of one shard.

    Raises:
        BadPairShard: it cannot be read, or has other columns or another number of rows.
    """
    remedy = f"copy it again from where it was made, or run `nitamono ml pairs … --out {path.parent}` again"
    try:
        with pq.ParquetFile(path) as parquet:
            found = parquet.metadata.num_rows
            if not parquet.schema_arrow.equals(SCHEMA) or found != rows:
                raise BadPairShard(
                    f"{path}: {found:,} rows of {', '.join(parquet.schema_arrow.names)}, "
                    f"expected {rows:,} of {', '.join(SCHEMA.names)}; {remedy}"
                )
            yield from pairs_of(parquet)
    except (OSError, pa.ArrowException) as error:
        raise BadPairShard(f"{path}: cannot be read as parquet ({error}); {remedy}") from error
