"""Photo-caption pairs from listings, shards and folders of photos, split so that no twin crosses a border."""

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
"""Titles that are messages to one buyer describe no picture; the paper (section 3) leaves them out too."""


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


class NoPairs(MlError):
    """A data path from which nothing could be used."""


class NoListings(MlError):
    """A file of listings in another format than is read here."""


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
