"""Writing of training pairs to parquet shards, in the memory of one shard and a few bytes per pair.

A first pass over the listings spools usable pairs to disk and computes prints of their photos. Duplicates are
grouped by their prints; a second pass over the spool gives each pair its split.
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
from typing import BinaryIO, Final

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from tqdm import tqdm

from console.counts import by_name
from ml.atomic_files import replaced, replaced_folder
from ml.data.listing_events import RESERVED_TITLE
from ml.data.near_identical import PhotoPrints
from ml.data.pair_shards import SCHEMA, SPLITS, PairsReport, ShardEntry, pairs_of, to_table
from ml.data.pairs import SHARDS_REPORT, NoPairs, Pair, Split
from ml.data.splits import TEST_SHARE, VALIDATION_SHARE, group_key, group_roots, share_of, split_of, title_key
from ml.training.read_corpus import PRINT, DecodedPhoto, decode_or_reason, photo_print, read_pairs

Rows = NDArray[np.bool_]

SCAN_BATCH: Final = 512


@dataclass(frozen=True)
class PairSettings:
    """Settings of the selection, split and storage of pairs."""

    reserved: re.Pattern[str] = RESERVED_TITLE
    """Listings whose title matches are left out."""
    train_until: datetime | None = None
    """Listings created until then are for training, later ones for validation and test. None: split by a hash
    of the group."""
    rows_per_shard: int = 50_000
    threads: int = 1


@dataclass
class Scan:
    """The result of the first pass: 24 bytes per usable pair in memory, the rest on disk."""

    folder: Path
    dropped: Counter[str] = field(default_factory=Counter)
    titles: "array[int]" = field(default_factory=lambda: array("Q"))
    """See ml.data.splits.title_key."""
    hashes: "array[int]" = field(default_factory=lambda: array("Q"))
    """See ml.inference.preprocess.photo_hash."""
    created: "array[float]" = field(default_factory=lambda: array("d"))
    """Unix seconds; NaN where unknown."""

    @property
    def spool(self) -> Path:
        """Parquet file of every usable pair, in the order of the first pass."""
        return self.folder / "spool.parquet"

    @property
    def thumbnails(self) -> Path:
        """File of the thumbnails, 16 × 16 × 3 bytes per pair."""
        return self.folder / "thumbnails.bin"

    def prints(self) -> PhotoPrints:
        """Hash and thumbnail of each pair's photo, the thumbnails mapped from their file."""
        small = np.memmap(self.thumbnails, np.uint8, mode="r", shape=(len(self.titles), 16, 16, 3))
        return PhotoPrints(np.array(self.hashes, dtype=np.uint64), small)


@dataclass(frozen=True)
class PhotoGroups:
    """The groups of a scan; row i of each belongs to pair i of the spool."""

    roots: NDArray[np.int64]
    """(n,) int64, the first row of the group."""
    kept: Rows
    """(n,) bool, whether the pair is written."""
    early: Rows
    """(n,) bool, whether the pair is for training; all False without a time split."""


def write_pairs(sources: Sequence[Path], out: Path, settings: PairSettings) -> PairsReport:
    """Write SPLIT-NNNNN.parquet and report.json to `out`, in place of those of an earlier run.

    Raises:
        NoPairs: nothing usable was found; the message has the reasons. `out` is unchanged.
        NoListings: a CSV or parquet file.
        NotWritten: the disk is full, or `out` is not writable.
    """
    earlier = tuple(f"{split}-[0-9]*.parquet" for split in SPLITS)
    with replaced_folder(out, last=SHARDS_REPORT, earlier=earlier) as unfinished:
        with tempfile.TemporaryDirectory(dir=unfinished) as folder:
            scan = scan_pairs(sources, Path(folder), settings)
            if not scan.titles:
                raise NoPairs(
                    f"no usable pair in {', '.join(map(str, sources))}: {by_name(scan.dropped)}; "
                    "expected listings with a title and a readable photo"
                )
            photo_groups = find_groups(scan, settings.train_until)
            shards = write_shards(
                unfinished, split_spool(scan, photo_groups, settings), settings.rows_per_shard
            )
        report = make_report(sources, settings, scan, photo_groups, shards)
        with replaced(unfinished / SHARDS_REPORT) as file:
            file.write(report.model_dump_json(indent=2).encode())
    return report


def scan_pairs(sources: Sequence[Path], folder: Path, settings: PairSettings) -> Scan:
    """The first pass: spool every pair whose photo can be decoded, and compute its prints."""
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
            decoded = pool.map(lambda pair: decode_or_reason(pair.photo, PRINT), batch)
            usable = [
                pair
                for pair, outcome in zip(batch, decoded, strict=True)
                if add_pair(scan, pair, outcome, thumbnails, settings)
            ]
            if usable:
                spool.write_table(to_table([(pair, "") for pair in usable]))
            progress.update(len(batch))
    return scan


def add_pair(
    scan: Scan,
    pair: Pair,
    decoded: DecodedPhoto | str,
    thumbnails: BinaryIO,
    settings: PairSettings,
) -> bool:
    """Add the pair's prints to the scan, or count why it is unusable; return whether it is usable."""
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


def find_groups(scan: Scan, train_until: datetime | None) -> PhotoGroups:
    """Group duplicates; in a time split, drop later duplicates of training photos."""
    roots = group_roots(np.array(scan.titles, dtype=np.uint64), scan.prints())
    kept = np.ones(len(roots), bool)
    early = np.zeros(len(roots), bool)
    if train_until:
        early = np.array(scan.created) <= train_until.timestamp()
        has_early = np.zeros(len(roots), bool)
        has_early[roots[early]] = True
        kept = early | ~has_early[roots]
        scan.dropped["later_duplicate_of_training"] += int((~kept).sum())
    return PhotoGroups(roots, kept, early)


def split_spool(scan: Scan, photo_groups: PhotoGroups, settings: PairSettings) -> Iterator[tuple[Pair, str]]:
    """The second pass: yield each kept pair with its split, and the key of its group."""
    key_of = keys_of_groups(scan, photo_groups)
    for row, pair in kept_pairs(scan, photo_groups):
        key = key_of.get(int(photo_groups.roots[row])) or group_key(pair)
        yield replace(pair, split=split_in_time(key, bool(photo_groups.early[row]), settings)), key


def split_in_time(key: str, early: bool, settings: PairSettings) -> Split:
    """The split of a pair by the key of its group. early: whether it was created by train_until."""
    if not settings.train_until:
        return split_of(key)
    if early:
        return "train"
    return "test" if share_of(key) < TEST_SHARE / (TEST_SHARE + VALIDATION_SHARE) else "validation"


def keys_of_groups(scan: Scan, photo_groups: PhotoGroups) -> dict[int, str]:
    """The smallest group_key by root, of groups with more than one kept pair."""
    sizes = np.bincount(photo_groups.roots[photo_groups.kept], minlength=len(photo_groups.roots))
    key_of: dict[int, str] = {}
    for row, pair in kept_pairs(scan, photo_groups):
        top = int(photo_groups.roots[row])
        if sizes[top] > 1:
            key_of[top] = min(key_of.get(top, group_key(pair)), group_key(pair))
    return key_of


def kept_pairs(scan: Scan, photo_groups: PhotoGroups) -> Iterator[tuple[int, Pair]]:
    """Yield row and pair of each pair that was not dropped as a later duplicate."""
    for row, pair in enumerate(pairs_of(pq.ParquetFile(scan.spool))):
        if photo_groups.kept[row]:
            yield row, pair


def write_shards(out: Path, pairs: Iterable[tuple[Pair, str]], rows_per_shard: int) -> list[ShardEntry]:
    """Write pairs and the keys of their groups; each shard gets its name once it is complete."""
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
    """Write the next shard of a split; pairs with the keys of their groups."""
    number = sum(entry.split == split for entry in earlier)
    entry = ShardEntry(file=f"{split}-{number:05d}.parquet", split=split, rows=len(rows))
    with replaced(out / entry.file) as file:
        pq.write_table(to_table(rows), file, compression="zstd")
    return entry


def make_report(
    sources: Sequence[Path],
    settings: PairSettings,
    scan: Scan,
    photo_groups: PhotoGroups,
    shards: Sequence[ShardEntry],
) -> PairsReport:
    """The counts of a run."""
    sizes = np.unique(photo_groups.roots[photo_groups.kept], return_counts=True)[1]
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
