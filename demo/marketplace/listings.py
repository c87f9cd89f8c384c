"""The marketplace itself: who lists what, with which photos, at which price."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from random import Random
from typing import Literal, TypedDict

from demo.marketplace.catalogue import CONDITIONS, Condition
from demo.marketplace.designs import Design, design_at
from demo.marketplace.photos import PhotoSpec
from demo.marketplace.random_source import Purpose, stream
from demo.marketplace.scene import Habit, draw_habit, draw_scene
from demo.marketplace.titles import reserved_title, title

Status = Literal["on_sale", "reserved", "sold_out", "removed"]
STATUSES: tuple[Status, ...] = ("on_sale", "reserved", "sold_out", "removed")
STATUS_CUMULATED = (0.72, 0.76, 0.97, 1.0)  # 72 % on sale, 4 % reserved, 21 % sold, 3 % removed

DAY = 86_400
LISTED_FROM = int(datetime(2025, 6, 1, tzinfo=UTC).timestamp())
LISTED_UNTIL = int(datetime(2026, 5, 31, tzinfo=UTC).timestamp())
"""Listings are of this year."""

COPY_SHARE = 0.04
"""Listings with the photos of an earlier one: half relisted by its seller, half taken by another."""
USUAL_LIKES, LIKED_DESIGNS, LIKED_LISTINGS = 8, 0.9, 0.8
"""The median of likes, and the standard deviations of their logarithm between designs and listings."""
LOWEST_YEN = 300
SIZES_CLOTHES = ("XS", "S", "M", "M", "L", "L", "XL")
SIZES_SHOES = tuple(f"{length / 2:g}cm" for length in range(45, 59))


class ListingEvent(TypedDict):
    """A listing event as the indexer takes it."""

    item_id: str
    title: str
    category: list[str]
    price: int
    currency: str
    seller_id: str
    status: Status
    created_at: str
    updated_at: str
    images: list[str]
    attributes: dict[str, str]
    popularity: int


@dataclass(frozen=True)
class Offer:
    """Listing `number`: its design, its seller, and how many photos it has, first used by which listing."""

    number: int
    design: int
    seller: int
    photographed: int
    photos: int


def generate(count: int, seed: int) -> Iterator[ListingEvent]:
    """Return the first `count` listings of this seed: item ids d0000001, d0000002 and so on."""
    return (listing_at(number, seed) for number in range(1, count + 1))


def item_id(number: int) -> str:
    """Return the id of listing `number` (from 1)."""
    return f"d{number:07d}"


def offer_at(number: int, seed: int) -> Offer:
    """Return which design listing `number` is of, and who sells it.

    Designs and sellers are drawn from a pool that grows with the number, so early ones collect many listings
    and most have few: the heavy tail of a real marketplace, without counting what was listed before.
    """
    rng = stream(seed, Purpose.OFFER, number)
    copied = rng.random() < COPY_SHARE and number > 20
    design = int(rng.random() * (40 + number * 0.4))
    seller = int(rng.random() ** 2 * (12 + number * 0.25))
    if not copied:
        return Offer(number, design, seller, number, _photo_count(rng))
    source = offer_at(1 + int(rng.random() * (number - 1)), seed)
    relisted = rng.random() < 0.5
    return Offer(
        number, source.design, source.seller if relisted else seller, source.photographed, source.photos
    )


def _photo_count(rng: Random) -> int:
    """Return one photo for most listings, two or three for some."""
    draw = rng.random()
    return 1 if draw < 0.82 else 2 if draw < 0.95 else 3


def listing_at(number: int, seed: int) -> ListingEvent:
    """Return listing `number` of this seed, as it is at the end of the year."""
    offer = offer_at(number, seed)
    design = design_at(offer.design, seed)
    rng = stream(seed, Purpose.LISTING, number)
    status, condition, size = _status(rng), _condition(rng), _size(design, rng)
    created = LISTED_FROM + int(rng.random() * (LISTED_UNTIL - LISTED_FROM))
    updated = created + int(rng.random() ** 2 * (LISTED_UNTIL - created))
    return {
        "item_id": item_id(number),
        "title": reserved_title(rng) if status == "reserved" else title(design, size, condition, rng),
        "category": list(design.item_type.category),
        "price": price(design, condition, rng),
        "currency": "JPY",
        "seller_id": f"s{offer.seller:05d}",
        "status": status,
        "created_at": timestamp(created),
        "updated_at": timestamp(updated),
        "images": [f"images/{item_id(number)}-{n}.jpg" for n in range(1, offer.photos + 1)],
        "attributes": attributes(design, condition, size),
        "popularity": popularity(offer, LISTED_UNTIL - created, seed),
    }


def popularity(offer: Offer, seconds_listed: int, seed: int) -> int:
    """Return the likes of a listing: few for most, many for some, and more the longer it is listed.

    They follow the design, which buyers like or not, and the listing itself. Half have come after two weeks.
    """
    liked = stream(seed, Purpose.LIKES_OF_DESIGN, offer.design).gauss(0, LIKED_DESIGNS)
    own = stream(seed, Purpose.LIKES_OF_LISTING, offer.number).gauss(0, LIKED_LISTINGS)
    come = 1 - 0.5 ** (seconds_listed / (14 * DAY))
    return int(USUAL_LIKES * math.exp(liked + own) * come)


def attributes(design: Design, condition: Condition, size: str) -> dict[str, str]:
    """Return the attributes that a seller fills in."""
    found = {
        "type": design.item_type.english,
        "brand": design.brand.english,
        "colour": design.colour.english,
        "pattern": design.pattern,
        "condition": condition.code,
        "gender": design.gender,
        "size": size,
    }
    return {name: value for name, value in found.items() if value}


def price(design: Design, condition: Condition, rng: Random) -> int:
    """Return the price in yen: round hundreds, or 20 yen less."""
    worth = design.yen * condition.factor * (0.85 + 0.35 * rng.random())
    step = 1000 if worth >= 20_000 else 100
    rounded = max(LOWEST_YEN, round(worth / step) * step)
    return rounded - 20 if rng.random() < 0.4 and rounded > 1000 else rounded


def timestamp(seconds: int) -> str:
    """Return seconds since 1970 as an RFC 3339 text in UTC."""
    day, second = divmod(seconds, DAY)
    return f"{_date(day)}T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}Z"


@lru_cache(maxsize=1024)
def _date(day: int) -> str:
    return datetime.fromtimestamp(day * DAY, UTC).date().isoformat()


def _status(rng: Random) -> Status:
    return rng.choices(STATUSES, cum_weights=STATUS_CUMULATED)[0]


def _condition(rng: Random) -> Condition:
    return CONDITIONS[int(rng.random() ** 1.2 * len(CONDITIONS))]


def _size(design: Design, rng: Random) -> str:
    match design.item_type.sizing:
        case "clothes":
            return rng.choice(SIZES_CLOTHES)
        case "shoes":
            return rng.choice(SIZES_SHOES)
        case "none":
            return ""


def photos_at(number: int, seed: int) -> tuple[PhotoSpec, ...]:
    """Return what to draw for the photos of listing `number`, in the order of its `images`."""
    offer = offer_at(number, seed)
    first = offer if offer.photographed == number else offer_at(offer.photographed, seed)
    design = design_at(first.design, seed)
    habit = seller_habit(first.seller, seed)
    rng = stream(seed, Purpose.PHOTO, first.number)
    return tuple(PhotoSpec(design, draw_scene(rng, habit, closer=nth > 0)) for nth in range(first.photos))


@lru_cache(maxsize=65_536)
def seller_habit(seller: int, seed: int) -> Habit:
    """Return how this seller takes photos."""
    return draw_habit(stream(seed, Purpose.SELLER, seller))
