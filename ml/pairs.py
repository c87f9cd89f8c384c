"""Photo-caption pairs from listings and from folders of photos, split so that no twin crosses a border."""

import hashlib
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, Field, ValidationError
from tqdm import tqdm

from ml.errors import MlError
from ml.preprocess import UnusablePhoto, decode_photo, photo_hash

Split = Literal["train", "validation", "test"]

VALIDATION_SHARE: Final = 0.1
TEST_SHARE: Final = 0.15

RESERVED_TITLE: Final = re.compile(r"reserved for|専用|取り?置き", re.IGNORECASE)
"""Titles that are messages to one buyer describe no picture; the paper (section 3) leaves them out too."""

NEAR_IDENTICAL_BITS: Final = 2
NEAR_IDENTICAL_LEVELS: Final = 4.0
"""Two photos are near-identical if their hashes differ in at most this many of 64 bits and their 16 × 16
thumbnails by at most this many of 255 levels on average. Bits alone would chain most T-shirts on white into
one group; see docs/decisions/101-split.md."""

PHOTO_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp"})


class ListingLine(BaseModel):
    """What training needs of a listing event; everything else is the indexer's to judge."""

    item_id: str = Field(min_length=1)
    title: str
    category: list[str] = Field(min_length=1)
    status: str
    images: list[str] = Field(min_length=1)
    attributes: dict[str, str] = {}


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


@dataclass(frozen=True)
class Corpus:
    """Decoded pairs: row i of every array belongs to pairs[i]."""

    pairs: tuple[Pair, ...]
    pixels: NDArray[np.uint8]
    """(n, s, s, 3), RGB."""
    splits: NDArray[np.str_]
    """(n,) of Split."""
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
        return Corpus(pairs, self.pixels[rows], self.splits[rows], self.dropped)

    @property
    def sources(self) -> list[str]:
        return sorted({pair.source for pair in self.pairs})

    @property
    def fingerprint(self) -> str:
        """16 hex digits that change with any pair, pixel or split."""
        digest = hashlib.sha256(self.pixels.tobytes())
        for pair, split in zip(self.pairs, self.splits, strict=True):
            digest.update(f"{pair.item_id}\0{pair.captions}\0{split}\n".encode())
        return digest.hexdigest()[:16]


class NoPairs(MlError):
    """A data path from which nothing could be used."""


def read_corpus(paths: Sequence[Path], size: int, *, threads: int = 1) -> Corpus:
    """Decode and split everything under `paths`: listing JSONL files, or folders of one folder per class.

    Raises:
        NoPairs: nothing usable was found; the message has the reasons.
    """
    dropped: Counter[str] = Counter()
    pairs = [pair for path in paths for pair in read_pairs(path, dropped)]
    decoded = list(decode_pairs(pairs, size, dropped, threads))
    if not decoded:
        where = ", ".join(map(str, paths))
        raise NoPairs(
            f"no usable pair in {where}: {dict(dropped)}; expected a listings JSONL or CLASS/photo.jpg"
        )
    kept = tuple(pair for pair, _ in decoded)
    pixels = np.stack([square for _, square in decoded])
    return Corpus(kept, pixels, split_by_group(groups(kept, pixels)), dropped)


def read_pairs(path: Path, dropped: Counter[str]) -> Iterator[Pair]:
    return read_class_folders(path) if path.is_dir() else read_listings(path, dropped)


def read_listings(path: Path, dropped: Counter[str]) -> Iterator[Pair]:
    """One pair per listing of a JSONL file whose images are paths relative to that file's folder."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            try:
                listing = ListingLine.model_validate_json(line)
            except ValidationError:
                dropped["not_a_listing"] += 1
                continue
            reason = unsuitable(listing)
            if reason:
                dropped[reason] += 1
            else:
                yield pair_of(listing, path)


def unsuitable(listing: ListingLine) -> str | None:
    """Why a listing teaches nothing, or None."""
    if listing.status in {"reserved", "removed"}:
        return listing.status
    if RESERVED_TITLE.search(listing.title):
        return "reserved_title"
    return None if listing.title.strip() else "no_title"


def pair_of(listing: ListingLine, path: Path) -> Pair:
    labels = Labels(
        type=listing.category[-1],
        gender=listing.attributes.get("gender", ""),
        colour=listing.attributes.get("colour", ""),
    )
    pattern = listing.attributes.get("pattern", "")
    descriptions = (
        words(labels.gender, labels.colour, pattern, labels.type),
        words(labels.gender, labels.type),
        words(labels.type),
    )
    captions = tuple(dict.fromkeys((listing.title, *descriptions)))
    return Pair(listing.item_id, path.parent / listing.images[0], listing.title, captions, labels, str(path))


def words(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def read_class_folders(folder: Path) -> Iterator[Pair]:
    """One pair per photo of folder/CLASS/*: people's own photos, captioned by their class."""
    for photo in photos_under(folder):
        name = photo.parent.name
        caption = f"a photo of a {name}, people's own photo"
        item_id = photo.relative_to(folder).with_suffix("").as_posix()
        yield Pair(item_id, photo, "", (caption,), Labels(name), str(folder))


def photos_under(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in PHOTO_SUFFIXES)


def decode_pairs(
    pairs: Sequence[Pair], size: int, dropped: Counter[str], threads: int
) -> Iterator[tuple[Pair, NDArray[np.uint8]]]:
    with ThreadPoolExecutor(threads) as pool:
        decoded = pool.map(lambda pair: decode_or_reason(pair.photo, size), pairs)
        progress = tqdm(zip(pairs, decoded, strict=True), "decoding", len(pairs), unit="photo", disable=None)
        for pair, outcome in progress:
            if isinstance(outcome, str):
                dropped[outcome] += 1
            else:
                yield pair, outcome


def decode_or_reason(photo: Path, size: int) -> NDArray[np.uint8] | str:
    """Pixels (size, size, 3), or the reason code for which there are none."""
    try:
        return decode_photo(photo.read_bytes(), size)
    except OSError:
        return "photo_unreadable"
    except UnusablePhoto as error:
        return error.reason


def groups(pairs: Sequence[Pair], pixels: NDArray[np.uint8]) -> list[str]:
    """A key per pair; pairs with the same title or a near-identical photo share it, also through others."""
    joined = list(range(len(pairs)))
    for first, second in [*same_title(pairs), *near_identical(pixels)]:
        a, b = root(joined, first), root(joined, second)
        joined[max(a, b)] = min(a, b)
    roots = [root(joined, row) for row in range(len(pairs))]
    key_of: dict[int, str] = {}
    for top, pair in zip(roots, pairs, strict=True):
        # The smallest, so that the order in which data is named moves nothing across a border.
        key_of[top] = min(key_of.get(top, group_key(pair)), group_key(pair))
    return [key_of[top] for top in roots]


def group_key(pair: Pair) -> str:
    return normalised(pair.title) or pair.item_id


def normalised(title: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", title).casefold().split())


def root(joined: list[int], row: int) -> int:
    while joined[row] != row:
        joined[row] = joined[joined[row]]
        row = joined[row]
    return row


def same_title(pairs: Sequence[Pair]) -> Iterator[tuple[int, int]]:
    first_row: dict[str, int] = {}
    for row, pair in enumerate(pairs):
        if pair.title:
            yield first_row.setdefault(normalised(pair.title), row), row


def near_identical(pixels: NDArray[np.uint8]) -> Iterator[tuple[int, int]]:
    """Rows of photos that are one picture but for compression, scaling or a hair's breadth of framing."""
    hashes = np.array([int(photo_hash(square), 16) for square in pixels], dtype=np.uint64)
    thumbnails = np.stack([thumbnail(square) for square in pixels])
    for row, others in rows_with_close_hashes(hashes):
        differences = np.abs(thumbnails[others] - thumbnails[row]).mean(axis=(1, 2, 3))
        yield from ((row, int(other)) for other in others[differences <= NEAR_IDENTICAL_LEVELS])


def thumbnail(square: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.asarray(Image.fromarray(square).resize((16, 16), Image.Resampling.BOX), dtype=np.float32)


def rows_with_close_hashes(hashes: NDArray[np.uint64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Each row with later rows whose hash differs in at most NEAR_IDENTICAL_BITS bits; some come twice.

    Hashes that differ in k bits agree in one of k + 1 bands, so only rows that share a band are compared.
    """
    for bits in np.array_split(np.arange(64, dtype=np.uint64), NEAR_IDENTICAL_BITS + 1):
        band = hashes & np.bitwise_or.reduce(np.uint64(1) << bits)
        order = np.argsort(band, kind="stable")
        for rows in np.split(order, np.flatnonzero(np.diff(band[order])) + 1):
            for position, row in enumerate(rows[:-1]):
                others = rows[position + 1 :]
                close = np.bitwise_count(hashes[others] ^ hashes[row]) <= NEAR_IDENTICAL_BITS
                yield int(row), others[close]


def split_by_group(keys: Iterable[str]) -> NDArray[np.str_]:
    """Test, validation or train by a hash of the group, so that it stays the same as data is added."""
    return np.array([split_of(key) for key in keys])


def split_of(key: str) -> Split:
    share = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest()) / 2**64
    if share < TEST_SHARE:
        return "test"
    return "validation" if share < TEST_SHARE + VALIDATION_SHARE else "train"


def describe(corpus: Corpus) -> str:
    """Counts of what is in a corpus and what was left out of it, as JSON."""
    counts = {
        "pairs": len(corpus.pairs),
        "splits": dict(Counter(corpus.splits.tolist())),
        "sources": dict(Counter(pair.source for pair in corpus.pairs)),
        "dropped": dict(corpus.dropped),
    }
    return json.dumps(counts, ensure_ascii=False)
