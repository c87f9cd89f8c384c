"""Photo-caption pairs and the corpus they form."""

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, ValidationError

from ml.data.json_lines import json_lines
from ml.errors import MlError

Split = Literal["train", "validation", "test"]

RESERVED_TITLE: Final = re.compile(r"reserved for|専用|取り?置き", re.IGNORECASE)
"""Titles that address one buyer do not describe the photo; the paper (section 3) drops them too."""


SHARDS_REPORT: Final = "report.json"
"""A folder that holds it was written by `nitamono ml pairs`: see ml/data/pair_shards.py."""

SURROGATE: Final = re.compile("[\ud800-\udfff]")
"""A byte of a file name that is not UTF-8 (PEP 383)."""

TABLE_SUFFIXES: Final = frozenset({".csv", ".parquet"})
"""Listings that `nitamono index` reads; training reads JSONL only."""


class ListingLine(BaseModel):
    """The fields of a listing event that training needs; the indexer validates the rest."""

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
        """The attribute's text; empty if it is missing or not a text."""
        value = self.attributes.get(name)
        return value if isinstance(value, str) else ""


@dataclass(frozen=True)
class Labels:
    """The labels that relevance is graded by. Empty if unknown."""

    type: str
    gender: str = ""
    colour: str = ""


@dataclass(frozen=True)
class Pair:
    """A photo and its true captions, from the most to the least specific."""

    item_id: str
    photo: Path
    title: str
    """Empty if the captions come from a class folder."""
    captions: tuple[str, ...]
    labels: Labels
    source: str
    """The file or folder that it came from; metrics are reported for each."""
    price: float | None = None
    """None where unknown."""
    created: datetime | None = None
    """With a time zone; None where unknown."""
    split: Split | None = None
    """None until all pairs are known: duplicates share a split."""


@dataclass(frozen=True)
class Event:
    """A version of an item: a listing line, a photo in a class folder or a row of a shard."""

    item: str
    """Identifies the item across data paths."""
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
        """(m,) int64 rows of a Split or of "all", of one source if given."""
        kept = np.ones(len(self.pairs), bool) if split == "all" else self.splits == split
        if source is not None:
            kept &= np.array([pair.source == source for pair in self.pairs])
        return np.flatnonzero(kept)

    def part(self, rows: NDArray[np.int64]) -> "Corpus":
        """The corpus of these rows (m,) int64 only."""
        pairs = tuple(self.pairs[row] for row in rows)
        return Corpus(pairs, self.pixels[rows], self.splits[rows], self.photos[rows], self.dropped)

    @property
    def size(self) -> int:
        """Pixels of a side."""
        return int(self.pixels.shape[1])

    @property
    def sources(self) -> list[str]:
        """Every source, sorted."""
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


class NoPairs(MlError):
    """A data path from which nothing could be used."""


class NoListings(MlError):
    """Listings in a format that training does not read."""


def key_of(pair: Pair) -> str:
    """The item key of a pair; of a photo in a class folder its path, since names may repeat."""
    return item_key(pair.item_id, Path(pair.source)) if pair.title else str(pair.photo.absolute())


def item_key(item_id: str, source: Path) -> str:
    """A key of an item: its id and its file's folder, because two marketplaces may use the same ids."""
    return f"{source.absolute().parent}\0{item_id}"


def refuse_table(path: Path) -> None:
    """Check that a path is no table.

    Raises:
        NoListings: it has the suffix of a CSV or parquet file.
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
            outcome = unsuitable(listing, reserved) or pair_of(listing, path)
            item = item_key(listing.item_id, path)
            yield Event(item, updated.timestamp() if updated else -math.inf, outcome)


def unsuitable(listing: ListingLine, reserved: re.Pattern[str] = RESERVED_TITLE) -> str | None:
    """The reason code why a listing is not used for training, or None."""
    if listing.status in {"reserved", "removed"}:
        return listing.status
    if reserved.search(listing.title):
        return "reserved_title"
    if not listing.title.strip():
        return "no_title"
    return None if listing.images else "no_photo"


def pair_of(listing: ListingLine, path: Path) -> Pair:
    """The pair of a listing in the file `path`: its first photo, title and descriptions from its labels."""
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
    """Parse an ISO 8601 time, in UTC if it has no zone. None if it is not one."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def words(*parts: str) -> str:
    """The non-empty parts, joined by spaces."""
    return " ".join(part for part in parts if part)


def evenly(rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """(m,) int64 at most `count` of rows (n,) int64, evenly spaced so that all sources are represented."""
    return rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(np.int64)]


def short_name(source: str) -> str:
    """The name of the folder that holds a listing file or class folders, without its path on this machine."""
    return Path(source).absolute().parent.name


def describe(corpus: Corpus) -> str:
    """Counts of a corpus's pairs, splits, sources and dropped events, as JSON."""
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
