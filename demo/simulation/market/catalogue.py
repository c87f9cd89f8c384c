"""Listings as arrays, with their true vectors."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from demo.marketplace.listings import ListingEvent, listing_at, offer_at
from demo.simulation.columns import Floats, Rows, Seconds
from demo.simulation.errors import NothingOnSale
from demo.simulation.ground_truth import GroundTruth
from indexer.intake.files import read_rows, select
from mappings.errors import InvalidListing
from mappings.listing import Status, parse_listing

WIDTHS: Final = {"type": 24, "colour": 12, "pattern": 12, "brand": 8, "own": 8}
"""Dimensions of each attribute's part of a true vector."""

WARM: Final = frozenset({"coat", "jacket", "sweater", "hoodie", "scarf", "beanie", "boots"})
LIGHT: Final = frozenset({"T-shirt", "shorts", "sandals", "dress", "umbrella", "skirt"})


@dataclass(frozen=True)
class Catalogue:
    """N listings, in the order in which they come on sale."""

    item_ids: tuple[str, ...]
    sellers: tuple[str, ...]
    categories: tuple[tuple[str, ...], ...]
    """The different paths."""
    kind: NDArray[np.int32]
    """(N,) which of them."""
    price: Seconds
    """(N,) yen."""
    age: Seconds
    """(N,) seconds between the listing and the newest one."""
    photo: Rows
    """(N,) the listing whose photo it shows: itself, or an earlier one."""
    truth: Floats
    """(N, d) unit vectors: their cosine is the true similarity of two listings."""
    season: NDArray[np.int8]
    """(N,) 1 for warm clothes, -1 for light ones, else 0."""

    def __len__(self) -> int:
        """Return the number of listings."""
        return len(self.item_ids)


def drawn_catalogue(count: int, seed: int, truth: GroundTruth) -> Catalogue:
    """Return the first `count` listings of the drawn marketplace, all of them as new listings."""
    events = [listing_at(number, seed) for number in range(1, count + 1)]
    photo = np.array([offer_at(number, seed).photographed - 1 for number in range(1, count + 1)])
    return catalogue_from_events(events, truth, seed, photo)


def read_catalogue(path: Path, count: int | None, truth: GroundTruth, seed: int) -> Catalogue:
    """Return the first `count` listings on sale of a file or folder that `nitamono index` takes.

    Raises:
        NothingOnSale: none is.
        UnreadableFile: see indexer.intake.files.
    """
    events = read_events(path, count)
    return catalogue_from_events(events, truth, seed, np.arange(len(events)))


def read_events(path: Path, count: int | None) -> list[ListingEvent]:
    """Return the first `count` listings on sale of a file or folder, oldest first. Raises as read_catalogue.

    Invalid listings are left out, as by the indexer, and so are repeated ones.
    """
    found: dict[str, ListingEvent] = {}
    for event in listings_on_sale(path):
        found.setdefault(event["item_id"], event)
        if len(found) == count:
            break
    if not found:
        raise NothingOnSale(f"{path}: no listing is on sale; expected some with status on_sale")
    return sorted(found.values(), key=lambda event: (event["created_at"], event["item_id"]))


def listings_on_sale(path: Path) -> Iterator[ListingEvent]:
    """Yield the valid listings on sale, at a price, of a file or folder that `nitamono index` reads.

    Raises UnreadableFile.
    """
    rows = chain.from_iterable(read_rows(file, file.parent) for file in select(path).files)
    for row in rows:
        try:
            listing = parse_listing(row.event)
        except InvalidListing:
            continue
        if listing.status is Status.ON_SALE and listing.price:
            yield cast(ListingEvent, listing.to_event())


def catalogue_from_events(
    events: Sequence[ListingEvent], truth: GroundTruth, seed: int, photo: Rows
) -> Catalogue:
    """Return the listings of events, with a true vector for each from its attributes."""
    categories = list(dict.fromkeys(tuple(event["category"]) for event in events))
    numbers = {path: number for number, path in enumerate(categories)}
    created = np.array([datetime.fromisoformat(event["created_at"]).timestamp() for event in events])
    return Catalogue(
        item_ids=tuple(event["item_id"] for event in events),
        sellers=tuple(event["seller_id"] for event in events),
        categories=tuple(categories),
        kind=np.array([numbers[tuple(event["category"])] for event in events], dtype=np.int32),
        price=np.array([event["price"] for event in events], dtype=np.float64),
        age=created.max() - created,
        photo=photo.astype(np.int64),
        truth=true_vectors(events, truth, seed)[photo],
        season=np.array([_season(_type_of(event)) for event in events], dtype=np.int8),
    )


def _type_of(event: Mapping[str, Any]) -> str:
    return str(event.get("attributes", {}).get("type", event["category"][-1]))


def _season(item_type: str) -> int:
    return int(item_type in WARM) - int(item_type in LIGHT)


def true_vectors(events: Sequence[ListingEvent], truth: GroundTruth, seed: int) -> Floats:
    """Return (N, d) float32, unit norm: a part for each attribute, as long as the root of its share.

    So the cosine of two listings is the sum, over attributes, of the share times the cosine of their parts.
    """
    own = np.random.default_rng([seed, 1]).standard_normal((len(events), WIDTHS["own"]))
    parts = {
        "type": (_kind_parts(events), truth.type_share),
        "colour": (_value_parts(events, "colour"), truth.colour_share),
        "pattern": (_value_parts(events, "pattern"), truth.pattern_share),
        "brand": (_value_parts(events, "brand"), truth.brand_share),
        "own": (own, truth.own_share),
    }
    vectors = np.concatenate([normalize(part) * share**0.5 for part, share in parts.values()], axis=1)
    return normalize(vectors).astype(np.float32)


def _kind_parts(events: Iterable[Mapping[str, Any]]) -> Seconds:
    """Return (N, 24) float64: half root category, half type; a shirt is nearer to a coat than to a mug."""
    return np.stack(
        [
            _direction("type", _type_of(event))
            + _direction("root", str(event["category"][0]), WIDTHS["type"])
            for event in events
        ]
    )


def _value_parts(events: Iterable[Mapping[str, Any]], name: str) -> Seconds:
    return np.stack([_direction(name, str(event.get("attributes", {}).get(name, ""))) for event in events])


@lru_cache(maxsize=4096)
def _direction(name: str, value: str, width: int | None = None) -> Seconds:
    """Return the unit vector of a value, made from its text and so the same in every catalogue."""
    seed = int.from_bytes(hashlib.blake2b(f"{name}:{value}".encode(), digest_size=8).digest(), "big")
    direction = np.random.default_rng(seed).standard_normal(width or WIDTHS[name])
    return np.asarray(normalize(direction), dtype=np.float64)


def normalize(vectors: NDArray[Any]) -> NDArray[Any]:
    """Return vectors (..., d) of the same directions with unit norm."""
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))
