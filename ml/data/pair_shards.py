"""Training pairs as parquet shards: millions of listings in the memory of one shard and some bytes a pair.

A first pass over the listings writes what is usable to a spool and takes prints of the photos; twins are
found among the prints; a second pass over the spool gives each pair its split.
"""

import re
import tempfile
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError
from tqdm import tqdm

from ml.atomic_files import replaced, replaced_folder
from ml.data.pairs import (
    PRINT_SIZE,
    RESERVED_TITLE,
    SHARDS_REPORT,
    TEST_SHARE,
    VALIDATION_SHARE,
    DecodedPhoto,
    Labels,
    NoPairs,
    Pair,
    PhotoPrints,
    Split,
    decode_or_reason,
    group_key,
    photo_print,
    read_pairs,
    share_of,
    split_of,
    title_key,
    twin_roots,
)
from ml.errors import MlError

Rows = NDArray[np.bool_]

SCAN_BATCH: Final = 512
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


@dataclass(frozen=True)
class PairSettings:
    """What becomes a pair, and where it goes."""

    reserved: re.Pattern[str] = RESERVED_TITLE
    """Titles in which it is found are left out."""
    train_until: datetime | None = None
    """Listings made up to then train, later ones validate and test; if None, a hash of the group decides."""
    rows_per_shard: int = 50_000
    threads: int = 1


class ShardEntry(BaseModel):
    """A shard as the report knows it."""

    file: str
    split: Split
    rows: int


class PairsReport(BaseModel):
    """What was written, and what was dropped and why."""

    format: Literal["nitamono pairs 1"] = "nitamono pairs 1"
    sources: list[str]
    reserved_pattern: str
    train_until: datetime | None
    read: int
    """Lines and photos looked at: the pairs and the dropped."""
    pairs: int
    splits: dict[Split, int]
    groups: int
    largest_group: int
    dropped: dict[str, int]
    shards: list[ShardEntry]


@dataclass
class Scan:
    """What the first pass keeps of each usable pair: 24 bytes in memory, the rest on disk."""

    folder: Path
    dropped: Counter[str] = field(default_factory=Counter)
    titles: "array[int]" = field(default_factory=lambda: array("Q"))
    """See ml.data.pairs.title_key."""
    hashes: "array[int]" = field(default_factory=lambda: array("Q"))
    """See ml.inference.preprocess.photo_hash."""
    created: "array[float]" = field(default_factory=lambda: array("d"))
    """Unix seconds; NaN where unknown."""

    @property
    def spool(self) -> Path:
        return self.folder / "spool.parquet"

    @property
    def thumbnails(self) -> Path:
        return self.folder / "thumbnails.bin"

    def prints(self) -> PhotoPrints:
        small = np.memmap(self.thumbnails, np.uint8, mode="r", shape=(len(self.titles), 16, 16, 3))
        return PhotoPrints(np.array(self.hashes, dtype=np.uint64), small)


@dataclass(frozen=True)
class Twins:
    """The groups of a scan; row i of each belongs to pair i of the spool."""

    roots: NDArray[np.int64]
    """(n,) the first row of the group."""
    kept: Rows
    """(n,)"""
    early: Rows
    """(n,) whether the pair trains; all False without a time split."""


def write_pairs(sources: Sequence[Path], out: Path, settings: PairSettings) -> PairsReport:
    """Write SPLIT-NNNNN.parquet and report.json to `out`, in place of those of an earlier run.

    Raises:
        NoPairs: nothing usable was found; the message has the reasons. What `out` has stays.
        NoListings: a CSV or parquet file.
        NotWritten: the disk is full, or `out` may not be written to.
    """
    earlier = tuple(f"{split}-[0-9]*.parquet" for split in SPLITS)
    with replaced_folder(out, last=SHARDS_REPORT, earlier=earlier) as unfinished:
        with tempfile.TemporaryDirectory(dir=unfinished) as folder:
            scan = scan_pairs(sources, Path(folder), settings)
            if not scan.titles:
                raise NoPairs(
                    f"no usable pair in {', '.join(map(str, sources))}: {dict(scan.dropped)}; "
                    "expected listings with a title and a readable photo"
                )
            twins = find_twins(scan, settings.train_until)
            shards = write_shards(unfinished, split_spool(scan, twins, settings), settings.rows_per_shard)
        report = make_report(sources, settings, scan, twins, shards)
        with replaced(unfinished / SHARDS_REPORT) as file:
            file.write(report.model_dump_json(indent=2).encode())
    return report


def scan_pairs(sources: Sequence[Path], folder: Path, settings: PairSettings) -> Scan:
    """The first pass: every pair whose photo can be decoded goes to the spool, with its prints."""
    scan = Scan(folder)
    pairs = read_pairs(sources, scan.dropped, settings.reserved)
    progress = tqdm(desc="reading photos", unit="photo", disable=None)
    with (
        pq.ParquetWriter(scan.spool, SCHEMA) as spool,
        scan.thumbnails.open("wb") as thumbnails,
        ThreadPoolExecutor(settings.threads) as pool,
        progress,
    ):
        while batch := list(islice(pairs, SCAN_BATCH)):
            decoded = pool.map(lambda pair: decode_or_reason(pair.photo, PRINT_SIZE), batch)
            usable = [
                pair
                for pair, outcome in zip(batch, decoded, strict=True)
                if take(scan, pair, outcome, thumbnails, settings)
            ]
            if usable:
                spool.write_table(to_table([(pair, "") for pair in usable]))
            progress.update(len(batch))
    return scan


def take(
    scan: Scan,
    pair: Pair,
    decoded: DecodedPhoto | str,
    thumbnails: BinaryIO,
    settings: PairSettings,
) -> bool:
    """Whether the pair is usable; then the scan has its prints, else the reason."""
    if isinstance(decoded, str):
        scan.dropped[decoded] += 1
        return False
    if settings.train_until and not pair.created:
        scan.dropped["no_created_at"] += 1
        return False
    bits, small = photo_print(*decoded.squares)
    scan.titles.append(title_key(pair.title))
    scan.hashes.append(bits)
    scan.created.append(pair.created.timestamp() if pair.created else float("nan"))
    thumbnails.write(small.tobytes())
    return True


def find_twins(scan: Scan, train_until: datetime | None) -> Twins:
    """The groups, with a time split less later twins of what trains."""
    roots = twin_roots(np.array(scan.titles, dtype=np.uint64), scan.prints())
    kept = np.ones(len(roots), bool)
    early = np.zeros(len(roots), bool)
    if train_until:
        early = np.array(scan.created) <= train_until.timestamp()
        has_early = np.zeros(len(roots), bool)
        has_early[roots[early]] = True
        kept = early | ~has_early[roots]
        scan.dropped["later_twin_of_training"] += int((~kept).sum())
    return Twins(roots, kept, early)


def split_spool(scan: Scan, twins: Twins, settings: PairSettings) -> Iterator[tuple[Pair, str]]:
    """The second pass: each kept pair with its split, and the key of its group."""
    key_of = keys_of_twins(scan, twins)
    for row, pair in kept_pairs(scan, twins):
        key = key_of.get(int(twins.roots[row])) or group_key(pair)
        yield replace(pair, split=split_in_time(key, bool(twins.early[row]), settings)), key


def split_in_time(key: str, early: bool, settings: PairSettings) -> Split:
    if not settings.train_until:
        return split_of(key)
    if early:
        return "train"
    return "test" if share_of(key) < TEST_SHARE / (TEST_SHARE + VALIDATION_SHARE) else "validation"


def keys_of_twins(scan: Scan, twins: Twins) -> dict[int, str]:
    """Root to the smallest group_key, of groups with more than one kept pair."""
    sizes = np.bincount(twins.roots[twins.kept], minlength=len(twins.roots))
    key_of: dict[int, str] = {}
    for row, pair in kept_pairs(scan, twins):
        top = int(twins.roots[row])
        if sizes[top] > 1:
            key_of[top] = min(key_of.get(top, group_key(pair)), group_key(pair))
    return key_of


def kept_pairs(scan: Scan, twins: Twins) -> Iterator[tuple[int, Pair]]:
    for row, pair in enumerate(pairs_of(pq.ParquetFile(scan.spool))):
        if twins.kept[row]:
            yield row, pair


def write_shards(out: Path, pairs: Iterable[tuple[Pair, str]], rows_per_shard: int) -> list[ShardEntry]:
    """Write pairs and the keys of their groups; a shard appears under its name once it is whole."""
    waiting: dict[Split, list[tuple[Pair, str]]] = {split: [] for split in SPLITS}
    entries: list[ShardEntry] = []
    for pair, key in pairs:
        assert pair.split  # noqa: S101  # split_spool gave it one
        rows = waiting[pair.split]
        rows.append((pair, key))
        if len(rows) == rows_per_shard:
            entries.append(write_shard(out, pair.split, entries, rows))
            rows.clear()
    for split, rows in waiting.items():
        if rows:
            entries.append(write_shard(out, split, entries, rows))
    return sorted(entries, key=lambda entry: entry.file)


def write_shard(
    out: Path, split: Split, earlier: Sequence[ShardEntry], rows: Sequence[tuple[Pair, str]]
) -> ShardEntry:
    number = sum(entry.split == split for entry in earlier)
    entry = ShardEntry(file=f"{split}-{number:05d}.parquet", split=split, rows=len(rows))
    with replaced(out / entry.file) as file:
        pq.write_table(to_table(rows), file, compression="zstd")
    return entry


def to_table(rows: Sequence[tuple[Pair, str]]) -> pa.Table:
    """Of pairs and the keys of their groups, in SCHEMA."""
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


def make_report(
    sources: Sequence[Path], settings: PairSettings, scan: Scan, twins: Twins, shards: Sequence[ShardEntry]
) -> PairsReport:
    sizes = np.unique(twins.roots[twins.kept], return_counts=True)[1]
    splits = {split: sum(entry.rows for entry in shards if entry.split == split) for split in SPLITS}
    return PairsReport(
        sources=[str(source) for source in sources],
        reserved_pattern=settings.reserved.pattern,
        train_until=settings.train_until,
        read=int(sizes.sum()) + scan.dropped.total(),
        pairs=int(sizes.sum()),
        splits=splits,
        groups=len(sizes),
        largest_group=int(sizes.max()),
        dropped={reason: count for reason, count in sorted(scan.dropped.items()) if count},
        shards=list(shards),
    )


def read_shards(folder: Path, split: Split | None = None) -> Iterator[Pair]:
    """The pairs of a folder that write_pairs wrote, of one split if it is named, a batch at a time.

    Raises:
        BadPairShard: the report or a shard cannot be read, or one lacks rows.
    """
    for entry in read_report(folder).shards:
        if split in {None, entry.split}:
            yield from read_shard(folder / entry.file, entry.rows)


def read_report(folder: Path) -> PairsReport:
    """What write_pairs returned."""
    path = folder / SHARDS_REPORT
    try:
        return PairsReport.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise BadPairShard(
            f"{path}: is no report of training pairs ({error}); "
            "give a folder that `nitamono ml pairs` wrote, or run it again"
        ) from error


def read_shard(path: Path, rows: int) -> Iterator[Pair]:
    remedy = f"copy it again from where it was made, or run `nitamono ml pairs … --out {path.parent}` again"
    try:
        with pq.ParquetFile(path) as parquet:
            found = parquet.metadata.num_rows
            if not parquet.schema_arrow.equals(SCHEMA) or found != rows:
                raise BadPairShard(
                    f"{path}: {found} rows of {parquet.schema_arrow.names}, "
                    f"expected {rows} of {SCHEMA.names}; {remedy}"
                )
            yield from pairs_of(parquet)
    except (OSError, pa.ArrowException) as error:
        raise BadPairShard(f"{path}: cannot be read as parquet ({error}); {remedy}") from error
