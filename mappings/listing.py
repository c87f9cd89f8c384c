"""The listing: its event, its stored document, and the order of its events."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import count, islice
from typing import Annotated, Any, Final, LiteralString

import orjson
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from mappings.currencies import CURRENCIES, CURRENCY_FORM
from mappings.errors import InvalidListing, Problem
from mappings.offer import offer, price_step
from mappings.problems import ID_FORM, PRICE_FORM, first_per_field, form, shown
from mappings.values import CATEGORY_SEPARATOR, canonical

# Producers' clocks may be some seconds ahead. An event with a later date is rejected: it would block every
# update until that date.
CLOCK_SKEW = timedelta(minutes=5)

# The epoch of Elasticsearch's date_nanos and of the external version, plus a day.
EARLIEST = datetime(1970, 1, 2, tzinfo=UTC)

# Of two events of an item at the same instant, the higher rank wins: ending a sale is the safer choice.
_STATUS_RANK = {"on_sale": 0, "reserved": 1, "sold_out": 2, "removed": 3}
_TIE_BITS = 11
_HASH_BITS = 9


class Status(StrEnum):
    """The status of a listing. Only listings with `on_sale` are results."""

    ON_SALE = "on_sale"
    RESERVED = "reserved"
    SOLD_OUT = "sold_out"
    REMOVED = "removed"


# Formats of ISO 8601, Postgres (+09), BigQuery (UTC), Snowflake ( +0900) and Japanese software (2026/08/28).
_ZONED = re.compile(
    r"(\d{4})([-/])(\d\d)\2(\d\d)[Tt ](\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?) ?(Z|UTC|GMT|[+-]\d\d(?::?\d\d)?)",
    re.ASCII | re.IGNORECASE,
)
_DAY = re.compile(r"\d{4}([-/])\d\d?\1\d\d?", re.ASCII)
_UNZONED = re.compile(_DAY.pattern + r"[Tt ]\d\d?:\d\d(:\d\d([.,]\d+)?)?", re.ASCII)
_NUMBER = re.compile(r"[+-]?[\d.,]*(e[+-]?\d+)?", re.IGNORECASE)


def _iso_string(value: object) -> object:
    """Return the value as ISO 8601 if it is an unambiguous instant. Numbers could be seconds or milliseconds;
    a missing time zone or time of day is not guessed."""
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
    """Return the time zone as `Z` or `+09:00`."""
    if zone[0] not in "+-":
        return "Z"
    digits = zone[1:].replace(":", "").ljust(4, "0")
    return f"{zone[0]}{digits[:2]}:{digits[2:]}"


def _no_separator(name: object) -> object:
    if isinstance(name, str) and CATEGORY_SEPARATOR.strip() in name:
        raise PydanticCustomError("separator", "a name without '>'")
    return name


def _known_currency(code: str) -> str:
    if code not in CURRENCIES:
        raise PydanticCustomError("currency_unknown", CURRENCY_FORM)
    return code


def _price(price: float) -> float:
    if 0 < price < MIN_PRICE:
        raise PydanticCustomError("price_too_small", PRICE_FORM)
    return price


def isoformat(moment: datetime) -> str:
    """Return `2026-01-31T09:30:00.000000Z`: UTC with microseconds, so that text sorts by time."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


Instant = Annotated[
    AwareDatetime,
    Field(strict=False),
    BeforeValidator(_iso_string),
    PlainSerializer(isoformat, when_used="json"),
]
NOW: Final = "now"
"""In the context of a validation: the instant by which dates are plausible; without it, all are."""


def between(
    earliest: datetime, moment: datetime, latest: datetime, *, early: LiteralString = "too_early"
) -> datetime:
    """Return the moment if it is between two others, for validators.

    early: the type of the error if it is not late but early.
    """
    if moment > latest:
        raise PydanticCustomError("in_future", "", {"latest": str(latest)})
    if moment < earliest:
        raise PydanticCustomError(early, "", {"earliest": str(earliest)})
    return moment


def _plausible(moment: datetime, info: ValidationInfo) -> datetime:
    """Check that a date of a listing is neither late nor early."""
    return between(EARLIEST, moment, info.context[NOW] + CLOCK_SKEW) if info.context else moment


EventInstant = Annotated[Instant, AfterValidator(_plausible)]
Identifier = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:~-]{0,127}$"),
    form("1 to 128 letters, digits and `.`, `_`, `:`, `~` or `-`, the first one a letter or digit"),
]
"""The id of an event, a slate or an experiment."""

MAX_ID_BYTES = 256
_NOT_IN_IDS = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters, and halves of surrogate pairs, which have no UTF-8."""


def _number_as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _listing_id(text: str) -> str:
    """Return the id as it is. `.` and `..` are refused: browsers drop them from a URL, even encoded."""
    if not text:
        raise PydanticCustomError("id_empty", ID_FORM)
    if _NOT_IN_IDS.search(text) or text in {".", ".."}:
        raise PydanticCustomError("id_malformed", ID_FORM)
    if len(text.encode()) > MAX_ID_BYTES:
        raise PydanticCustomError("id_too_long", ID_FORM)
    return text


ListingId = Annotated[
    str,
    BeforeValidator(_number_as_text),
    AfterValidator(_listing_id),
    WithJsonSchema(
        {
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_ID_BYTES,
            "pattern": "^[^\\x00-\\x1f\\x7f-\\x9f]+$",
        }
    ),
]
"""The id of an item or seller: any text of 1 to 256 bytes of UTF-8 without control characters."""
CategoryName = Annotated[
    str,
    BeforeValidator(_no_separator),
    StringConstraints(min_length=1, max_length=100, strip_whitespace=True),
    Field(json_schema_extra={"pattern": "^[^>]+$"}),
]
MAX_PHOTOS: Final = 20
PhotoReference = Annotated[str, StringConstraints(min_length=1, max_length=2048)]
AttributeName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=64, pattern=r"^[^.\x00]+$"),
    form("a name without a dot or NUL"),
]
# JSON allows larger integers; Elasticsearch and the canonical form of an event (orjson) do not.
WholeNumber = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]
AttributeScalar = Annotated[str, StringConstraints(max_length=256)] | bool | WholeNumber | float
AttributeValue = AttributeScalar | Annotated[tuple[AttributeScalar, ...], Field(max_length=20, strict=False)]
"""Of a list, a filter and a ranking term match any value."""
# No currency has a coin below a hundredth, and the logarithm of a price needs a lower bound.
MIN_PRICE, MAX_PRICE = 0.01, 1e12
Price = Annotated[
    float,
    Field(ge=0, le=MAX_PRICE, json_schema_extra={"anyOf": [{"const": 0}, {"minimum": MIN_PRICE}]}),
    AfterValidator(_price),
]
"""0 is a giveaway."""
Popularity = Annotated[float, Field(ge=0, le=1e12)]
Currency = Annotated[
    str, StringConstraints(pattern=r"^[A-Z]{3}$"), form(CURRENCY_FORM), AfterValidator(_known_currency)
]


class Listing(BaseModel):
    """The content of a listing event: the complete state at `updated_at`, not a change."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="ignore", allow_inf_nan=False, use_attribute_docstrings=True
    )

    item_id: ListingId
    """The item, in your own system. A whole number becomes text."""
    title: Annotated[str, StringConstraints(min_length=1, max_length=1000, strip_whitespace=True)]
    """Shown to buyers, and searched by the search box."""
    category: Annotated[tuple[CategoryName, ...], Field(min_length=1, max_length=5, strict=False)]
    """Levels from the root to the leaf; no name has a `>`. As text: `A > B > C`."""
    price: Price | None = None
    """0 for a giveaway; null or absent if it is unknown. In both cases, answers have no price band."""
    currency: Currency
    """A code of ISO 4217, such as `JPY`. It may be absent where the price is 0 or absent."""
    seller_id: ListingId
    """The seller, in your own system. An answer has only a few items of each."""
    status: Annotated[Status, Field(strict=False)]
    """Only `on_sale` is ever an answer; `removed` deletes title, photos and vector."""
    created_at: EventInstant
    """When the item was listed: ISO 8601 with a time zone, or epoch seconds or milliseconds."""
    updated_at: EventInstant
    """When this event happened, in the same forms. An older event never overwrites a newer one."""
    images: Annotated[tuple[PhotoReference, ...], Field(max_length=MAX_PHOTOS, strict=False)] = ()
    """http(s) URLs or paths below an allowed folder; the first ones are compared. As text: `a.jpg|b.jpg`."""
    attributes: Annotated[dict[AttributeName, AttributeValue], Field(max_length=50)] = {}
    """Colour, brand, size and the like. Filters and ranking terms match any value of a list."""
    popularity: Popularity | None = None
    """A number of the marketplace's own, such as likes, or taps a week."""

    def to_event(self) -> dict[str, Any]:
        """Return the event as JSON values in canonical form: the same for the same listing."""
        return self.model_dump(mode="json", exclude_none=True)


NO_CURRENCY: Final = "XXX"
"""ISO 4217: no currency."""

UNKNOWN: Final[Mapping[str, Any]] = {
    "category": ["unknown"],
    "currency": NO_CURRENCY,
    "seller_id": "unknown",
}
"""What the document of an item has in place of what is not known, or was forgotten."""


def listing_schema() -> dict[str, Any]:
    """Return the JSON Schema of a listing event in canonical form, which `Listing.to_event` has."""
    schema = Listing.model_json_schema()
    schema["required"].remove("currency")
    priced = {"required": ["price"], "properties": {"price": {"exclusiveMinimum": 0}}}
    schema["properties"]["attributes"]["additionalProperties"] = False
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "/schemas/listing.json",
        **schema,
        "if": priced,
        "then": {"required": ["currency"]},
    }


_TIMES = ("created_at", "updated_at", "indexed_at")


@dataclass(frozen=True, order=True)
class UnusedPhoto:
    """A photo that could not be used, of a listing that has a vector by its others."""

    photo: int
    """Its place in `images`, from 0."""
    reason: str
    detail: str

    @classmethod
    def all_in(cls, source: Mapping[str, Any]) -> tuple[UnusedPhoto, ...]:
        """Return those in a stored document."""
        return tuple(cls(**each) for each in source.get("unused_photos", ()))


class ListingDocument(BaseModel):
    """The stored document of a listing. That of a removed one has no title, photo or vector."""

    model_config = ConfigDict(frozen=True)

    item_id: str
    title: str | None = None
    category: tuple[str, ...]
    price: float | None = None
    currency: str
    seller_id: str
    status: Status
    created_at: Instant
    updated_at: Instant
    images: tuple[str, ...]
    image_fingerprint: str | None = None
    image_hash: str | None = None
    further_hashes: tuple[str, ...] = ()
    """Those of the other photos that are searched or in the mean."""
    photo_problem: str | None = None
    unused_photos: tuple[UnusedPhoto, ...] = ()
    attributes: dict[str, AttributeValue] = {}
    popularity: float | None = None
    encoder_id: str
    indexed_at: Instant
    vector: tuple[float, ...] | None = None
    further_photos: tuple[tuple[float, ...], ...] = ()
    """The vectors of the photos after the first, in an index that has a vector for each photo."""
    version: int | None = None
    """That of the newest complete event; 0 if there was none yet."""
    changes: tuple[tuple[str, int, Any], ...] | None = None
    """Field, version and value of each later change of a field."""
    removal_version: int | None = None
    """That of the newest removal."""

    @classmethod
    def from_source(cls, source: Mapping[str, Any]) -> ListingDocument:
        """Return the document that `to_source` gave. Nothing is validated: it was when it was written.

        What `model_construct` does, in a quarter of its time, for the dozens of documents of an answer.
        """
        values = {name: source.get(name, absent) for name, absent in _ABSENT.items()}
        values |= {name: datetime.fromisoformat(source[name]) for name in _TIMES}
        values["status"] = Status(source["status"])
        values |= {name: tuple(values[name]) for name in ("category", "images", "further_hashes")}
        values["attributes"] = {
            name: tuple(value) if type(value) is list else value
            for name, value in values["attributes"].items()
        }
        nested = values["further_photos"]
        values["further_photos"] = tuple(tuple(each["vector"]) for each in nested if "vector" in each)
        values["unused_photos"] = UnusedPhoto.all_in(source)
        document = cls.__new__(cls)
        for name, value in _UNVALIDATED.items():
            object.__setattr__(document, name, value)
        object.__setattr__(document, "__dict__", values)
        return document

    def to_source(self) -> dict[str, Any]:
        """Return the document as Elasticsearch stores it: JSON values without absent fields, and the
        fields that searches filter and rank by."""
        fields = self.model_dump(mode="json", exclude_none=True)
        several = {
            "further_photos": [{"vector": vector} for vector in fields.pop("further_photos")],
            "further_hashes": fields.pop("further_hashes"),
            "unused_photos": fields.pop("unused_photos"),
        }
        return fields | searchable(fields) | {name: values for name, values in several.items() if values}


def searchable(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields by which searches filter and rank, given those of the listing as JSON values."""
    price, popularity = fields.get("price"), fields.get("popularity")
    found = {
        "category_paths": category_paths(fields["category"]),
        "offer": offer(fields["status"], fields["currency"], price_step(price) if price else None),
    }
    return found if popularity is None else found | {"popularity_log": math.log1p(popularity)}


_ABSENT: Final = {
    name: field.get_default() if not field.is_required() else None
    for name, field in ListingDocument.model_fields.items()
} | {"images": ()}
"""Field of a document to its value where `to_source` left it out."""

_UNVALIDATED: Final[dict[str, Any]] = {
    "__pydantic_fields_set__": set(ListingDocument.model_fields),
    "__pydantic_extra__": None,
    "__pydantic_private__": None,
}


def parse_listing(event: object, *, now: datetime | None = None) -> Listing:
    """Return the listing in `event`, which is decoded JSON, with its values as by `canonical`.

    Where there is no price, or it is 0, the currency may be absent.

    Raises:
        InvalidListing: with every problem found, each with a stable reason code.
    """
    if not isinstance(event, Mapping):
        problem = Problem("event", "event_wrong_type", shown(event), "a JSON object")
        raise InvalidListing(None, (problem,))
    fields = canonical(event)
    if not fields.get("price"):
        fields.setdefault("currency", NO_CURRENCY)
    try:
        return validated(fields, now)
    except ValidationError as error:
        raise InvalidListing(item_id_of(event), first_per_field(error, Listing)) from error


def validated(fields: Mapping[Any, Any], now: datetime | None) -> Listing:
    """Return the listing with these fields, whose dates must be plausible now.

    Raises:
        ValidationError: a field is not valid.
    """
    return Listing.model_validate(fields, context={NOW: now or datetime.now(UTC)})


def item_id_of(event: Mapping[Any, Any]) -> str | None:
    """Return the item id of an event that may be invalid, as text of at most MAX_ID_BYTES characters."""
    item_id = _number_as_text(event.get("item_id"))
    return item_id[:MAX_ID_BYTES] if isinstance(item_id, str) else None


def event_version(listing: Listing) -> int:
    """Return the version of an event: a positive 63-bit number that orders the events of an item.

    It consists of the microseconds of `updated_at` since 1970 (52 bits are enough until 2112), the rank of
    the status, and nine bits of a hash of the content. So all writers agree on the newest event, in whatever
    order the events arrive.
    """
    return content_version(listing.updated_at, listing.status, listing.to_event())


def content_version(updated_at: datetime, status: Status, content: Mapping[str, Any]) -> int:
    """Return the version of an event with this instant, status and content, JSON values."""
    digest = hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).digest()
    return status_version(updated_at, status) | (int.from_bytes(digest[:2]) >> (16 - _HASH_BITS))


def status_version(updated_at: datetime, status: Status) -> int:
    """Return the least version of an event with this instant and status."""
    micros = (updated_at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    return (micros << _TIE_BITS) | (_STATUS_RANK[status] << _HASH_BITS)


def instant_of(version: int) -> datetime:
    """Return the instant of an event with this version."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=version >> _TIE_BITS)


def image_fingerprint(images: Sequence[str], encoded: int = 1) -> str | None:
    """Return a fingerprint of the photo references and of how many of them are encoded, so that an unchanged
    listing is not encoded again; None without photos."""
    if not images:
        return None
    used = min(encoded, len(images))
    how = (f"mean of {used}",) if used > 1 else ()  # its name from before photos had vectors each
    return hashlib.sha256("\n".join((*images, *how)).encode()).hexdigest()[:32]


_INCOMPLETE: Final = ":incomplete"
"""The end of the fingerprint of photos of which some could not be used. They are loaded again when the event
is repeated, or the item refreshed."""


def incomplete(fingerprint: str) -> str:
    """Return the fingerprint of photos of which some could not be used."""
    return complete(fingerprint) + _INCOMPLETE


def complete(fingerprint: str) -> str:
    """Return the fingerprint of the same photos if all can be used."""
    return fingerprint.removesuffix(_INCOMPLETE)


def is_incomplete(fingerprint: str | None) -> bool:
    """Return whether some of the photos could not be used."""
    return fingerprint is not None and fingerprint.endswith(_INCOMPLETE)


def place_of_photo(number: int, unused: Iterable[UnusedPhoto]) -> int:
    """Return the place in `images` of a photo that has a vector, given its number among those that have one;
    both from 0."""
    gone = {each.photo for each in unused}
    return next(islice((place for place in count() if place not in gone), number, None))


def category_paths(category: Sequence[str]) -> tuple[str, ...]:
    """Return every prefix of the path: `("Apparel", "Apparel > Skirts")` for `("Apparel", "Skirts")`."""
    return tuple(CATEGORY_SEPARATOR.join(category[:depth]) for depth in range(1, len(category) + 1))
