"""Training pairs from the listing events of a JSONL file."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pydantic import BaseModel, Field, ValidationError

from ml.data.json_lines import json_lines
from ml.data.pairs import Labels, Pair
from ml.errors import MlError

RESERVED_TITLE: Final = re.compile(r"reserved for|専用|取り?置き", re.IGNORECASE)
"""Titles that address one buyer do not describe the photo; the paper (section 3) also drops them."""

TABLE_SUFFIXES: Final = frozenset({".csv", ".parquet"})
"""Suffixes of listing files that `nitamono index` reads, while training reads JSONL only."""


class NoListings(MlError):
    """Listings in a format that training does not read."""


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
        """An attribute; empty if it is missing or not a string."""
        value = self.attributes.get(name)
        return value if isinstance(value, str) else ""


@dataclass(frozen=True)
class Event:
    """A version of an item: a listing line, a photo in a class folder or a row of a shard."""

    item: str
    """Key of the item across data paths."""
    updated: float
    """Unix seconds; the event with the greatest value is used, and the last of several equal ones."""
    outcome: Pair | str
    """The pair, or the reason code why there is none."""


def listing_events(path: Path, reserved: re.Pattern[str] = RESERVED_TITLE) -> Iterator[Event]:
    """Yield the lines of a JSONL file, whose images are paths relative to its folder."""
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


def key_of(pair: Pair) -> str:
    """The item key of a pair; for a photo in a class folder its path, since names may repeat."""
    return item_key(pair.item_id, Path(pair.source)) if pair.title else str(pair.photo.absolute())


def item_key(item_id: str, source: Path) -> str:
    """The key of an item: its id and its file's folder, because two marketplaces may use the same ids."""
    return f"{source.absolute().parent}\0{item_id}"


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


def check_not_table(path: Path) -> None:
    """Check that a path is not a CSV or parquet file.

    Raises:
        NoListings: it has the suffix of one.
    """
    if path.suffix.lower() in TABLE_SUFFIXES:
        raise NoListings(
            f"{path}: training and embedding read listings from JSONL; convert it to a .jsonl file in the "
            "same folder, with one JSON object per line"
        )
