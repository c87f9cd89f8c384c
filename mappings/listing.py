"""A listing event and the document it becomes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

import orjson
from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    ValidationError,
)
from pydantic_core import PydanticCustomError

from mappings.errors import InvalidListing, Problem
from mappings.problems import first_per_field, shown

CATEGORY_SEPARATOR = " > "

# Clocks of producers run ahead of ours by seconds; a listing dated later than this would block
# every true update until its date comes, so it is refused.
CLOCK_SKEW = timedelta(minutes=5)

# Elasticsearch's date_nanos and the external version both count from here.
EARLIEST = datetime(1970, 1, 2, tzinfo=UTC)

# The order in which two events of one item and one instant win: what ends a sale is the safer one to believe.
_STATUS_RANK = {"on_sale": 0, "reserved": 1, "sold_out": 2, "removed": 3}
_TIE_BITS = 11
_HASH_BITS = 9


class Status(StrEnum):
    """Where a listing is in its life. Only `on_sale` is ever a result."""

    ON_SALE = "on_sale"
    RESERVED = "reserved"
    SOLD_OUT = "sold_out"
    REMOVED = "removed"


# As ISO 8601, Postgres (+09), BigQuery (UTC), Snowflake ( +0900) and Japanese programs (2026/08/28) do.
_ZONED = re.compile(
    r"(\d{4})([-/])(\d\d)\2(\d\d)[Tt ](\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?) ?(Z|UTC|GMT|[+-]\d\d(?::?\d\d)?)",
    re.ASCII | re.IGNORECASE,
)
_DAY = re.compile(r"\d{4}([-/])\d\d?\1\d\d?", re.ASCII)
_UNZONED = re.compile(_DAY.pattern + r"[Tt ]\d\d?:\d\d(:\d\d([.,]\d+)?)?", re.ASCII)
_NUMBER = re.compile(r"[+-]?[\d.,]*(e[+-]?\d+)?", re.IGNORECASE)


def _iso_string(value: object) -> object:
    """The value as ISO 8601 where it certainly is one moment. Numbers are ambiguous (seconds or
    milliseconds?), and neither a time without a zone nor a day without a time is guessed."""
    if isinstance(value, datetime):
        return value
    text = value.strip() if isinstance(value, str) else ""
    if not isinstance(value, str) or _NUMBER.fullmatch(text):
        raise PydanticCustomError("datetime_type", "a date as text")
    if _DAY.fullmatch(text):
        raise PydanticCustomError("day_alone", "a day alone")
    if _UNZONED.fullmatch(text):
        raise PydanticCustomError("timezone_aware", "no time zone")
    if match := _ZONED.fullmatch(text):
        year, _, month, day, time, zone = match.groups()
        return f"{year}-{month}-{day}T{time}{_offset(zone)}"
    return text


def _offset(zone: str) -> str:
    """The zone as `Z` or `+09:00`."""
    if zone[0] not in "+-":
        return "Z"
    digits = zone[1:].replace(":", "").ljust(4, "0")
    return f"{zone[0]}{digits[:2]}:{digits[2:]}"


def _no_separator(name: object) -> object:
    if isinstance(name, str) and CATEGORY_SEPARATOR.strip() in name:
        raise PydanticCustomError("separator", "a name without '>'")
    return name


def isoformat(moment: datetime) -> str:
    """`2026-01-31T09:30:00.000000Z`: UTC, always microseconds, so that text order is time order."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


Instant = Annotated[
    AwareDatetime,
    Field(strict=False),
    BeforeValidator(_iso_string),
    PlainSerializer(isoformat, when_used="json"),
]
Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:~-]{0,127}$")]
CategoryName = Annotated[
    str,
    BeforeValidator(_no_separator),
    StringConstraints(min_length=1, max_length=100, strip_whitespace=True),
]
PhotoReference = Annotated[str, StringConstraints(min_length=1, max_length=2048)]
AttributeName = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[^.\x00]+$")]
# JSON knows larger whole numbers; neither Elasticsearch nor the canonical form of an event does.
WholeNumber = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]
AttributeValue = Annotated[str, StringConstraints(max_length=256)] | bool | WholeNumber | float
# Below a hundredth no currency has a coin, and logarithms of a price lose their meaning.
Price = Annotated[float, Field(ge=0.01, le=1e12)]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]


class Listing(BaseModel):
    """A listing as one event tells it: the whole state at `updated_at`, not a change."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", allow_inf_nan=False)

    item_id: Identifier
    title: Annotated[str, StringConstraints(min_length=1, max_length=1000, strip_whitespace=True)]
    category: Annotated[tuple[CategoryName, ...], Field(min_length=1, max_length=5, strict=False)]
    price: Price
    currency: Currency
    seller_id: Identifier
    status: Annotated[Status, Field(strict=False)]
    created_at: Instant
    updated_at: Instant
    images: Annotated[tuple[PhotoReference, ...], Field(max_length=20, strict=False)] = ()
    attributes: Annotated[dict[AttributeName, AttributeValue], Field(max_length=50)] = {}

    def to_event(self) -> dict[str, Any]:
        """The event as plain JSON values, canonical: the same listing always gives the same ones."""
        return self.model_dump(mode="json")


class ListingDocument(BaseModel):
    """What is stored for a listing. A removed one keeps no title, photo or vector."""

    model_config = ConfigDict(frozen=True)

    item_id: str
    title: str | None = None
    category: tuple[str, ...]
    category_paths: tuple[str, ...]
    price: float
    currency: str
    seller_id: str
    status: Status
    created_at: Instant
    updated_at: Instant
    images: tuple[str, ...]
    image_fingerprint: str | None = None
    image_hash: str | None = None
    photo_problem: str | None = None
    attributes: dict[str, AttributeValue] = {}
    encoder_id: str
    indexed_at: Instant
    vector: tuple[float, ...] | None = None

    def to_source(self) -> dict[str, Any]:
        """The document as Elasticsearch stores it: JSON values, absent fields left out."""
        return self.model_dump(mode="json", exclude_none=True)


def parse_listing(event: object, *, now: datetime | None = None) -> Listing:
    """The listing that `event`, decoded JSON, describes. Null means absent wherever it stands.

    Raises:
        InvalidListing: with every problem found, each under a stable reason code.
    """
    if not isinstance(event, Mapping):
        problem = Problem("event", "event_wrong_type", shown(event), "a JSON object")
        raise InvalidListing(None, (problem,))
    try:
        listing = Listing.model_validate(without_nulls(event))
    except ValidationError as error:
        raise InvalidListing(_item_id(event), first_per_field(error)) from error
    late = _date_problems(listing, now or datetime.now(UTC))
    if late:
        raise InvalidListing(listing.item_id, late)
    return listing


def without_nulls(event: Mapping[Any, Any]) -> dict[Any, Any]:
    """The event without fields that are null, and without the nulls in its lists and objects."""
    return {name: _without_nulls(value) for name, value in event.items() if value is not None}


def _without_nulls(value: object) -> object:
    if isinstance(value, Mapping):
        return {name: inner for name, inner in value.items() if inner is not None}
    if isinstance(value, list | tuple):
        return [inner for inner in value if inner is not None]
    return value


def _date_problems(listing: Listing, now: datetime) -> tuple[Problem, ...]:
    dates = {"updated_at": listing.updated_at, "created_at": listing.created_at}
    problems = (date_problem(name, moment, now) for name, moment in dates.items())
    return tuple(problem for problem in problems if problem)


def date_problem(name: str, moment: datetime, now: datetime) -> Problem | None:
    """What is wrong with a date that is too late or too early to be true; None where it can be."""
    latest = now + CLOCK_SKEW
    if moment > latest:
        return Problem(name, f"{name}_in_future", str(moment), f"no later than {latest}")
    if moment < EARLIEST:
        return Problem(name, f"{name}_too_early", str(moment), f"no earlier than {EARLIEST}")
    return None


def _item_id(event: Mapping[Any, Any]) -> str | None:
    item_id = event.get("item_id")
    return item_id[:128] if isinstance(item_id, str) else None


def event_version(listing: Listing) -> int:
    """The external version of an event: a positive 63-bit number that orders one item's events.

    Microseconds of `updated_at` since 1970 (52 bits last until 2112), then the status's rank, then nine
    bits of the content's hash. So every writer agrees which event is the newest, in whatever order they come.
    """
    content = orjson.dumps(listing.to_event(), option=orjson.OPT_SORT_KEYS)
    digest = int.from_bytes(hashlib.sha256(content).digest()[:2]) >> (16 - _HASH_BITS)
    return status_version(listing.updated_at, listing.status) | digest


def status_version(updated_at: datetime, status: Status) -> int:
    """The least version of an event of this instant and status, whatever else it says."""
    micros = (updated_at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    return (micros << _TIE_BITS) | (_STATUS_RANK[status] << _HASH_BITS)


def image_fingerprint(images: tuple[str, ...]) -> str | None:
    """The hash of the photo references in order, or None without photos: equal means no new encoding."""
    if not images:
        return None
    return hashlib.sha256("\n".join(images).encode()).hexdigest()[:32]


def category_paths(category: tuple[str, ...]) -> tuple[str, ...]:
    """Every prefix of the path: `("Apparel", "Apparel > Skirts")` for `("Apparel", "Skirts")`."""
    return tuple(CATEGORY_SEPARATOR.join(category[:depth]) for depth in range(1, len(category) + 1))
