"""Photo-caption pairs from listings, shards and folders of photos, split so that no twin crosses a border."""

import hashlib
import json
import math
import os
import re
import tempfile
import unicodedata
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, Field, ValidationError
from tqdm import tqdm

from ml.data.json_lines import json_lines
from ml.data.prefetch import prefetch
from ml.errors import MlError
from ml.inference.decoding.formats import HEAD_BYTES, head_format
from ml.inference.preprocess import SUFFIXES, UnusablePhoto, decode_photo, photo_hash

Split = Literal["train", "validation", "test"]

VALIDATION_SHARE: Final = 0.1
TEST_SHARE: Final = 0.15

RESERVED_TITLE: Final = re.compile(r"reserved for|専用|取り?置き", re.IGNORECASE)
"""Titles that are messages to one buyer describe no picture; the paper (section 3) leaves them out too."""

PRINT_SIZE: Final = 64
"""Pixels a side from which hash and thumbnail are made; they use 9 × 8 and 16 × 16 of them."""

NEAR_IDENTICAL_BITS: Final = 2
NEAR_IDENTICAL_LEVELS: Final = 4.0
"""Two photos are near-identical if their hashes differ in at most this many of 64 bits and their 16 × 16
thumbnails by at most this many of 255 levels on average. Bits alone would chain most T-shirts on white into
one group; see docs/decisions/101-split.md."""

SHARDS_REPORT: Final = "report.json"
"""A folder that holds it was written by `nitamono ml pairs`: see ml/data/pair_shards.py."""

SURROGATE: Final = re.compile("[\ud800-\udfff]")
"""A byte of a file name that is not UTF-8 (PEP 383)."""

TABLE_SUFFIXES: Final = frozenset({".csv", ".parquet"})
"""Listings that `nitamono index` reads; training would need their columns told apart a second time."""


class ListingLine(BaseModel):
    """What training needs of a listing event; everything else is the indexer's to judge."""

    item_id: str = Field(min_length=1)
    title: str = ""
    category: list[str] = Field(min_length=1)
    status: str
    images: list[str] = []
    attributes: dict[str, object] = {}
    price: object = None
    created_at: str | None = None
    updated_at: str | None = None

    def attribute(self, name: str) -> str:
        """Its text; empty where there is none, for numbers describe no picture."""
        value = self.attributes.get(name)
        return value if isinstance(value, str) else ""


@dataclass(frozen=True)
class Labels:
    """What relevance is graded by. Empty where unknown."""

    type: str
    gender: str = ""
    colour: str = ""


@dataclass(frozen=True)
class Pair:
    """A photo and the captions that are true of it, from the most to the least particular."""

    item_id: str
    photo: Path
    title: str
    """Empty where the captions come from a class."""
    captions: tuple[str, ...]
    labels: Labels
    source: str
    """The file or folder that it came from: where numbers are told apart."""
    price: float | None = None
    """None where unknown."""
    created: datetime | None = None
    """With a time zone; None where unknown."""
    split: Split | None = None
    """None until all pairs are known, for twins decide."""


@dataclass(frozen=True)
class Event:
    """What a line of listings, a photo or a row of a shard says of an item."""

    item: str
    """What identifies it."""
    updated: float
    """Unix seconds; the greatest of an item's events counts, and the last of those that are equal."""
    outcome: Pair | str
    """The pair, or the reason why there is none."""


@dataclass(frozen=True)
class Corpus:
    """Decoded pairs: row i of every array belongs to pairs[i]."""

    pairs: tuple[Pair, ...]
    pixels: NDArray[np.uint8]
    """(n, s, s, 3), RGB; may be mapped from a file, for they may be more than memory holds."""
    splits: NDArray[np.str_]
    """(n,) of Split."""
    photos: NDArray[np.uint64]
    """(n,) digests of the photos' bytes, the same whatever size the pixels have."""
    dropped: Counter[str]
    """Reason to count of what was read and left out."""

    def rows(self, split: str, source: str | None = None) -> NDArray[np.int64]:
        """Row numbers of a Split or of "all", of one source if it is named."""
        kept = np.ones(len(self.pairs), bool) if split == "all" else self.splits == split
        if source is not None:
            kept &= np.array([pair.source == source for pair in self.pairs])
        return np.flatnonzero(kept)

    def part(self, rows: NDArray[np.int64]) -> "Corpus":
        """These rows alone."""
        pairs = tuple(self.pairs[row] for row in rows)
        return Corpus(pairs, self.pixels[rows], self.splits[rows], self.photos[rows], self.dropped)

    @property
    def size(self) -> int:
        """Pixels of a side."""
        return int(self.pixels.shape[1])

    @property
    def sources(self) -> list[str]:
        return sorted({pair.source for pair in self.pairs})

    @property
    def fingerprint(self) -> str:
        """16 hex digits that change with any pair, photo or split, but not with the size of the pixels."""
        digest = hashlib.sha256()
        for pair, split, photo in zip(self.pairs, self.splits, self.photos, strict=True):
            digest.update(
                f"{pair.item_id}\0{pair.captions}\0{split}\0{photo:016x}\n".encode(errors="surrogatepass")
            )
        return digest.hexdigest()[:16]


@dataclass(frozen=True)
class DecodedPhoto:
    """A photo file that is a picture."""

    squares: list[NDArray[np.uint8]]
    """Pixels (size, size, 3), one for each size asked for."""
    digest: int
    """Of the file's bytes, see digest_of."""


@dataclass(frozen=True)
class PhotoPrints:
    """What identifies near-identical photos: row i of both belongs to photo i."""

    hashes: NDArray[np.uint64]
    """(n,), see ml.inference.preprocess.photo_hash."""
    thumbnails: NDArray[np.uint8]
    """(n, 16, 16, 3), RGB; may be mapped from a file."""

    @classmethod
    def of(cls, prints: Sequence[tuple[int, NDArray[np.uint8]]]) -> "PhotoPrints":
        """Of hashes and thumbnails, a pair a photo."""
        hashes = np.array([number for number, _ in prints], dtype=np.uint64)
        return cls(hashes, np.array([small for _, small in prints]))


class NoPairs(MlError):
    """A data path from which nothing could be used."""


class NoListings(MlError):
    """A file of listings in another format than is read here."""


class NoRoom(MlError):
    """A disk without room for the pixels."""


def read_corpus(paths: Sequence[Path], size: int, *, threads: int = 1) -> Corpus:
    """Decode and split everything under `paths`: listing JSONL files, folders of one folder per class, or
    folders that `nitamono ml pairs` wrote, whose splits stay as they are.

    Raises:
        NoPairs: nothing usable was found; the message has the reasons.
        NoListings: a CSV or parquet file.
        BadPairShard: a folder of `nitamono ml pairs` is damaged or incomplete.
        NoRoom: the pixels do not fit on the disk of temporary files.
    """
    dropped: Counter[str] = Counter()
    pairs = list(read_pairs(paths, dropped))
    try:
        with tempfile.TemporaryFile() as spool:
            kept, photos, prints = decode_pairs(pairs, size, dropped, threads, spool)
            spool.flush()
            pixels = mapped(spool, (len(kept), size, size, 3))
    except OSError as error:
        raise NoRoom(
            f"{tempfile.gettempdir()}: pixels of {len(pairs)} photos could not be kept there ({error}); "
            f"they take {len(pairs) * size * size * 3 / 2**20:.0f} MiB: make room, or set TMPDIR to a folder "
            "on a larger disk"
        ) from error
    if not kept:
        where = ", ".join(map(str, paths))
        raise NoPairs(
            f"no usable pair in {where}: {dict(dropped)}; expected a listings JSONL or CLASS/photo.jpg"
        )
    return Corpus(kept, pixels, split_pairs(kept, groups(kept, prints)), photos, dropped)


def mapped(spool: BinaryIO, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """The bytes of a file, which may be closed then, as an array whose changes stay in memory."""
    return np.memmap(spool, np.uint8, "c", shape=shape) if shape[0] else np.empty(shape, np.uint8)


def read_pairs(
    paths: Sequence[Path], dropped: Counter[str], reserved: re.Pattern[str] = RESERVED_TITLE
) -> Iterator[Pair]:
    """The pairs of data paths of any kind, of each item what its newest event gives.

    Paths are read twice, so that of each event only 16 bytes and a bit are held. `dropped` counts the
    reasons for which events give no pair.
    """
    for path, newest in zip(paths, newest_events(paths, reserved), strict=True):
        # What is added to a file between the two readings is left to the next run.
        for event, counts in zip(read_events(path, reserved), newest, strict=False):
            told = event.outcome if counts else "earlier_event_of_item"
            if isinstance(told, Pair):
                yield told
            else:
                dropped[told] += 1


def newest_events(paths: Sequence[Path], reserved: re.Pattern[str]) -> list[NDArray[np.bool_]]:
    """For each path (n,) whether each of its events is the newest of its item."""
    items, updated, ends = array("Q"), array("d"), []
    for path in paths:
        for event in read_events(path, reserved):
            items.append(digest_of(event.item.encode(errors="surrogatepass")))
            updated.append(event.updated)
        ends.append(len(items))
    keys = np.array(items, dtype=np.uint64)
    order = np.lexsort((np.array(updated), keys))  # stable: of equal times the later event comes last
    newest = np.ones(len(keys), bool)
    newest[order[:-1]] = keys[order[:-1]] != keys[order[1:]]
    return np.split(newest, ends[:-1])


def read_events(path: Path, reserved: re.Pattern[str]) -> Iterator[Event]:
    """What a data path of any kind says.

    Pairs of shards count as newer than any line, so that their splits stay.
    """
    if not path.is_dir():
        refuse_table(path)
        yield from listing_events(path, reserved)
    elif (path / SHARDS_REPORT).exists():
        from ml.data.pair_shards import read_shards  # it builds on this module

        yield from (Event(key_of(pair), math.inf, pair) for pair in read_shards(path))
    else:
        for number, told in enumerate(read_class_folders(path)):
            key = f"{path}:{number}" if isinstance(told, str) else key_of(told)
            yield Event(key, -math.inf, told)


def key_of(pair: Pair) -> str:
    """Of the pair's item; of a photo its path, for folders of classes may have the same names in them."""
    return item_key(pair.item_id, Path(pair.source)) if pair.title else str(pair.photo.absolute())


def item_key(item_id: str, source: Path) -> str:
    """Files in one folder are one marketplace's; another's items may have the same ids."""
    return f"{source.absolute().parent}\0{item_id}"


def refuse_table(path: Path) -> None:
    """
    Raises:
        NoListings: the path is that of a CSV or parquet file.
    """
    if path.suffix.lower() in TABLE_SUFFIXES:
        raise NoListings(
            f"{path}: training and embedding read listings from JSONL; convert it to one JSON object a line, "
            "in a file beside the photos that ends in .jsonl"
        )


def listing_events(path: Path, reserved: re.Pattern[str] = RESERVED_TITLE) -> Iterator[Event]:
    """The lines of a JSONL file whose images are paths relative to that file's folder."""
    for number, line in json_lines(path):
        try:
            listing = ListingLine.model_validate_json(line)
        except ValidationError:
            yield Event(f"{path}:{number}", -math.inf, "not_a_listing")
        else:
            updated = instant(listing.updated_at or "")
            told = unsuitable(listing, reserved) or pair_of(listing, path)
            item = item_key(listing.item_id, path)
            yield Event(item, updated.timestamp() if updated else -math.inf, told)


def unsuitable(listing: ListingLine, reserved: re.Pattern[str] = RESERVED_TITLE) -> str | None:
    """Why a listing teaches nothing, or None."""
    if listing.status in {"reserved", "removed"}:
        return listing.status
    if reserved.search(listing.title):
        return "reserved_title"
    if not listing.title.strip():
        return "no_title"
    return None if listing.images else "no_photo"


def pair_of(listing: ListingLine, path: Path) -> Pair:
    labels = Labels(
        type=listing.category[-1],
        gender=listing.attribute("gender"),
        colour=listing.attribute("colour"),
    )
    pattern = listing.attribute("pattern")
    descriptions = (
        words(labels.gender, labels.colour, pattern, labels.type),
        words(labels.gender, labels.type),
        words(labels.type),
    )
    captions = tuple(dict.fromkeys((listing.title, *descriptions)))
    return Pair(
        listing.item_id,
        path.parent / listing.images[0],
        listing.title,
        captions,
        labels,
        str(path),
        price=listing.price if isinstance(listing.price, int | float) else None,
        created=instant(listing.created_at or ""),
    )


def instant(text: str) -> datetime | None:
    """The time that an ISO 8601 text names, in UTC where it names no zone; None where it names none."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def words(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def read_class_folders(folder: Path) -> Iterator[Pair | str]:
    """One pair per photo of folder/CLASS/*: people's own photos, captioned by their class.

    For each other file the reason why there is none.
    """
    files = files_under(folder)
    yield from files.left_out.values()
    for photo in files.photos:
        name = photo.parent.name
        if SURROGATE.search(name):  # no tokenizer takes it
            yield "class_name_not_utf8"
            continue
        caption = f"a photo of a {name}, people's own photo"
        item_id = photo.relative_to(folder).with_suffix("").as_posix()
        yield Pair(item_id, photo, "", (caption,), Labels(name), str(folder))


@dataclass(frozen=True)
class FolderFiles:
    """What lies in a folder and its sub-folders."""

    photos: list[Path]
    """Sorted."""
    left_out: dict[Path, str]
    """Everything else, with the reason code."""


def files_under(folder: Path) -> FolderFiles:
    """Every file of a folder and its sub-folders; a photo is one by its suffix or by its first bytes."""
    files = FolderFiles([], {})
    unreadable: list[OSError] = []
    for parent, folders, names in os.walk(folder, onerror=unreadable.append):
        links = [Path(parent, name) for name in folders if Path(parent, name).is_symlink()]
        files.left_out.update(dict.fromkeys(links, "link_to_folder"))
        for path in (Path(parent, name) for name in names):
            if is_photo(path):
                files.photos.append(path)
            else:
                files.left_out[path] = "not_a_photo"
    files.left_out.update({Path(error.filename): "folder_unreadable" for error in unreadable})
    files.photos.sort()
    return files


def is_photo(path: Path) -> bool:
    """Also of a file that cannot be read, which is left out with its own reason when its photo is read."""
    if path.exists() and not path.is_file():  # a pipe would wait for somebody to write
        return False
    if path.suffix.lower() in SUFFIXES:
        return True
    try:
        with path.open("rb") as file:
            return head_format(file.read(HEAD_BYTES)) is not None
    except OSError:
        return True


def decode_pairs(
    pairs: Sequence[Pair], size: int, dropped: Counter[str], threads: int, spool: BinaryIO
) -> tuple[tuple[Pair, ...], NDArray[np.uint64], PhotoPrints]:
    """The pairs that can be used, their photos' digests (n,) and prints; the spool gets their pixels."""
    kept, photos, prints = [], [], []
    with ThreadPoolExecutor(threads) as pool:
        # The prints have a size of their own: splits must not change with the encoder's.
        decoded = prefetch(pool, lambda pair: decode_or_reason(pair.photo, PRINT_SIZE, size), pairs)
        progress = tqdm(zip(pairs, decoded, strict=True), "decoding", len(pairs), unit="photo", disable=None)
        for pair, outcome in progress:
            if isinstance(outcome, str):
                dropped[outcome] += 1
                continue
            small, square = outcome.squares
            kept.append(pair)
            photos.append(outcome.digest)
            prints.append(photo_print(small))
            spool.write(square.tobytes())
    return tuple(kept), np.array(photos, dtype=np.uint64), PhotoPrints.of(prints)


def decode_or_reason(photo: Path, *sizes: int) -> DecodedPhoto | str:
    """The photo in each size, or the reason code for which there is none."""
    try:
        data = photo.read_bytes()
    except (OSError, ValueError):  # a ValueError of a path with a null byte
        return "photo_unreadable"
    try:
        return DecodedPhoto([decode_photo(data, size) for size in sizes], digest_of(data))
    except UnusablePhoto as error:
        return error.reason


def digest_of(data: bytes) -> int:
    """64 bits that equal bytes share."""
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest())


def photo_print(photo: NDArray[np.uint8]) -> tuple[int, NDArray[np.uint8]]:
    """The hash and the thumbnail of a photo (PRINT_SIZE, PRINT_SIZE, 3)."""
    return int(photo_hash(photo), 16), thumbnail(photo)


def groups(pairs: Sequence[Pair], prints: PhotoPrints) -> list[str]:
    """A key per pair; pairs with the same title or a near-identical photo share it, also through others."""
    titles = np.array([title_key(pair.title) for pair in pairs], dtype=np.uint64)
    roots = twin_roots(titles, prints).tolist()
    key_of: dict[int, str] = {}
    for top, pair in zip(roots, pairs, strict=True):
        # The smallest, so that the order in which data is named moves nothing across a border.
        key_of[top] = min(key_of.get(top, group_key(pair)), group_key(pair))
    return [key_of[top] for top in roots]


def twin_roots(titles: NDArray[np.uint64], prints: PhotoPrints) -> NDArray[np.int64]:
    """(n,) the first row of each row's group. titles: (n,) of title_key."""
    joined = list(range(len(titles)))
    for first, second in chain(same_title(titles), near_identical(prints)):
        a, b = root(joined, first), root(joined, second)
        joined[max(a, b)] = min(a, b)
    return np.array([root(joined, row) for row in range(len(joined))], dtype=np.int64)


def group_key(pair: Pair) -> str:
    return normalised(pair.title) or pair.item_id


def normalised(title: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", title).casefold().split())


def root(joined: list[int], row: int) -> int:
    while joined[row] != row:
        joined[row] = joined[joined[row]]
        row = joined[row]
    return row


def title_key(title: str) -> int:
    """64 bits that equal titles share; 0 for an empty one, which is like no other."""
    folded = normalised(title)
    return digest_of(folded.encode()) if folded else 0


def same_title(titles: NDArray[np.uint64]) -> Iterator[tuple[int, int]]:
    """The first row with a title and each later one."""
    titled = np.flatnonzero(titles)
    yield from first_and_later(titles[titled], titled)


def first_and_later(keys: NDArray[np.uint64], rows: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """(first row, later row) for every row whose key an earlier one has; keys (n,) are those of rows (n,)."""
    _, firsts, inverse = np.unique(keys, return_index=True, return_inverse=True)
    later = np.flatnonzero(firsts[inverse] != np.arange(len(keys)))
    yield from zip(rows[firsts[inverse[later]]].tolist(), rows[later].tolist(), strict=True)


def near_identical(prints: PhotoPrints) -> Iterator[tuple[int, int]]:
    """Rows of photos that are one picture but for compression, scaling or a hair's breadth of framing."""
    digests = [digest_of(small.tobytes()) for small in prints.thumbnails]
    equal = np.array(digests, dtype=np.uint64) ^ prints.hashes
    rows = np.arange(len(equal))
    yield from first_and_later(equal, rows)
    # One of each suffices from here: a placeholder that thousands of listings show would meet itself millions
    # of times.
    rows = np.sort(np.unique(equal, return_index=True)[1])
    coarse = coarse_thumbnails(prints.thumbnails)[rows]
    for row, others in rows_with_close_hashes(prints.hashes[rows]):
        # The mean of differences is at least the difference of means, so this loses no twin and reads few.
        apart = np.abs(coarse[others] - coarse[row]).mean(axis=1)
        candidates = rows[others[apart <= NEAR_IDENTICAL_LEVELS]]
        own = prints.thumbnails[rows[row]].astype(np.float32)
        differences = np.abs(prints.thumbnails[candidates] - own).mean(axis=(1, 2, 3))
        close = candidates[differences <= NEAR_IDENTICAL_LEVELS]
        yield from ((int(rows[row]), other) for other in close.tolist())


def coarse_thumbnails(thumbnails: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(n, 12) means of the quarters of thumbnails (n, 16, 16, 3)."""
    coarse = np.empty((len(thumbnails), 12), np.float32)
    for start in range(0, len(thumbnails), 4096):
        part = thumbnails[start : start + 4096].reshape(-1, 2, 8, 2, 8, 3)
        coarse[start : start + 4096] = part.mean(axis=(2, 4), dtype=np.float32).reshape(-1, 12)
    return coarse


def thumbnail(square: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(16, 16, 3) of pixels (s, s, 3)."""
    return np.asarray(Image.fromarray(square).resize((16, 16), Image.Resampling.BOX))


def rows_with_close_hashes(hashes: NDArray[np.uint64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Each row with the later rows whose hash differs in at most NEAR_IDENTICAL_BITS bits; some come twice.

    Hashes that differ in k bits agree in one of k + 1 bands, so only rows that share a band are compared.
    """
    for bits in np.array_split(np.arange(64, dtype=np.uint64), NEAR_IDENTICAL_BITS + 1):
        band = hashes & np.bitwise_or.reduce(np.uint64(1) << bits)
        order = np.argsort(band, kind="stable")
        for rows in np.split(order, np.flatnonzero(np.diff(band[order])) + 1):
            for position, row in enumerate(rows[:-1]):
                others = rows[position + 1 :]
                close = np.bitwise_count(hashes[others] ^ hashes[row]) <= NEAR_IDENTICAL_BITS
                if close.any():
                    yield int(row), others[close]


def split_pairs(pairs: Sequence[Pair], keys: Sequence[str]) -> NDArray[np.str_]:
    """The split of each pair: its own where it has one, else that of a twin, else that of its group's key."""
    decided = {key: pair.split for pair, key in zip(pairs, keys, strict=True) if pair.split}
    return np.array(
        [pair.split or decided.get(key) or split_of(key) for pair, key in zip(pairs, keys, strict=True)]
    )


def split_of(key: str) -> Split:
    """By a hash, so that a group's split stays the same as data is added."""
    share = share_of(key)
    if share < TEST_SHARE:
        return "test"
    return "validation" if share < TEST_SHARE + VALIDATION_SHARE else "train"


def share_of(key: str) -> float:
    """A number from 0 to 1 that is spread evenly over keys."""
    return digest_of(key.encode(errors="surrogatepass")) / 2**64


def evenly(rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """At most `count` of rows (n,), from the first to the last, so that every source has its share."""
    return rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(np.int64)]


def short_name(source: str) -> str:
    """The folder that holds a listing file or a folder of classes: a name without this machine's folders."""
    return Path(source).absolute().parent.name


def describe(corpus: Corpus) -> str:
    """Counts of what is in a corpus and what was left out of it, as JSON."""
    counts = {
        "pairs": len(corpus.pairs),
        "splits": dict(Counter(corpus.splits.tolist())),
        "sources": dict(Counter(pair.source for pair in corpus.pairs)),
        "dropped": dict(corpus.dropped),
    }
    return json.dumps(counts, ensure_ascii=False)


def unique_names(sources: Sequence[str]) -> dict[str, str]:
    """Map each source to its shortest name that fits no other source."""
    return {
        source: unique_name(source, [other for other in sources if other != source]) for source in sources
    }


def unique_name(source: str, others: Sequence[str]) -> str:
    """The shortest name of a source that fits none of the others; else the source itself."""
    taken = {name for other in others for name in names_of(other)}
    return next((name for name in names_of(source) if name not in taken), source)


def names_of(source: str) -> list[str]:
    """short_name, then path endings of growing length: shop, shop/a.jsonl, home/shop/a.jsonl."""
    parts = Path(source).absolute().parts
    return [short_name(source), *("/".join(parts[-count:]) for count in range(2, len(parts)))]
