"""What shoppers see and do, as events: the types, their limits, and their parsing from JSON.

`parse_event` hashes the user id during validation, so the raw id is in no `Event`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)
from pydantic_core import PydanticCustomError

from events.user_ids import USER_HASH, user_hash
from mappings.errors import InvalidEvent, Problem
from mappings.listing import CLOCK_SKEW, Identifier, Instant, ListingId, between
from mappings.problems import first_per_field, form, printable, shown

OLDEST: Final = timedelta(days=7)
"""A phone without a network sends events late; a longer limit would delay the final figures of a day."""

MAX_ITEMS: Final = 100
LONGEST_USER_ID: Final = 128

_SALT: Final = "salt"
_NOW: Final = "now"


def _hashed(value: object, info: ValidationInfo) -> str:
    """The hash of a raw id where the context has a salt; otherwise the value, which must be a hash."""
    if not isinstance(value, str):
        raise PydanticCustomError("string_type", "a valid string")
    if info.context is None:
        if not USER_HASH.fullmatch(value):
            raise PydanticCustomError("malformed", "", {"expected": "the hash of a user id"})
        return value
    if not value:
        raise PydanticCustomError("string_too_short", "", {"min_length": 1})
    if len(value) > LONGEST_USER_ID:
        raise PydanticCustomError("string_too_long", "", {"max_length": LONGEST_USER_ID})
    try:
        return user_hash(info.context[_SALT], value)
    except UnicodeEncodeError as error:  # half of a surrogate pair
        raise PydanticCustomError("string_unicode", "") from error


def _timely(moment: datetime, info: ValidationInfo) -> datetime:
    """Check that the time of an event that was just sent is neither late nor early."""
    if info.context is None:
        return moment
    now = info.context[_NOW]
    return between(now - OLDEST, moment, now + CLOCK_SKEW, early="too_old")


HashedUserId = Annotated[
    str,
    BeforeValidator(_hashed),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": LONGEST_USER_ID}),
]
ArmName = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,47}:[a-z0-9][a-z0-9-]{0,47}$"),
    form("the names of an experiment and an arm, such as `encoder:finetuned`"),
]
Position = Annotated[int, Field(ge=1, le=1000)]


class Model(BaseModel):
    """A part of an event. A misspelt field is refused: a purchase without its slate counts wrongly."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


class ShownItem(Model):
    """An item of a slate."""

    item_id: ListingId
    position: Annotated[Position, Field(description="From 1.")]


class Event(Model):
    """The fields that all events have."""

    event_id: Annotated[
        Identifier, Field(description="Chosen by the sender; an event sent twice under one id counts once.")
    ]
    time: Annotated[
        Instant,
        AfterValidator(_timely),
        Field(description="When it happened, in ISO 8601 with a time zone."),
    ]
    user_id: Annotated[HashedUserId, Field(description="Any stable id of the user. It is hashed on arrival.")]

    @property
    def day(self) -> date:
        """The day it happened, in UTC: the day of its index."""
        return self.time.astimezone(UTC).date()

    def to_message(self) -> dict[str, Any]:
        """Return the event as JSON values, as it is queued; `user_id` is the hash."""
        return self.model_dump(mode="json", exclude_none=True)


class Impression(Event):
    """A slate of similar items was on the user's screen."""

    type: Literal["impression"]
    slate_id: Annotated[Identifier, Field(description="From the answer that held the items.")]
    query_item_id: Annotated[ListingId, Field(description="The item that the others are similar to.")]
    items: Annotated[
        tuple[ShownItem, ...],
        Field(max_length=MAX_ITEMS, strict=False, description="Empty if the answer had no items."),
    ]
    arms: Annotated[
        tuple[ArmName, ...],
        Field(max_length=16, strict=False, description="From the answer: `experiment:arm` each."),
    ] = ()
    encoder_id: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    took_ms: Annotated[
        float | None, Field(ge=0, le=600_000, description="Milliseconds that the answer took.")
    ] = None
    randomised: Annotated[bool, Field(description="From the answer: the order was shuffled.")] = False
    override: Annotated[bool, Field(description="From the answer: a tester chose the arm.")] = False
    simulated: Annotated[bool, Field(description="The user is simulated.")] = False

    @field_validator("items")
    @classmethod
    def _in_order(cls, items: tuple[ShownItem, ...]) -> tuple[ShownItem, ...]:
        if len({item.position for item in items}) < len(items):
            raise PydanticCustomError("repeated", "items with a position of its own each")
        return tuple(sorted(items, key=lambda item: item.position))


class Tap(Event):
    """The user opened an item of a slate."""

    type: Literal["tap"]
    slate_id: Identifier
    query_item_id: ListingId
    item_id: ListingId
    position: Annotated[Position, Field(description="From 1.")]


SlateBefore = Annotated[Identifier | None, Field(description="Of the slate whose tap led here, if any.")]


class ItemView(Event):
    """The user saw an item's page."""

    type: Literal["item_view"]
    item_id: ListingId
    slate_id: SlateBefore = None


class Purchase(Event):
    """The user bought an item."""

    type: Literal["purchase"]
    item_id: ListingId
    price: Annotated[float, Field(ge=0, le=1e12)]
    slate_id: SlateBefore = None


class Complaint(Event):
    """The user complained about an item."""

    type: Literal["complaint"]
    item_id: ListingId
    slate_id: SlateBefore = None
    reason: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = None


EVENT_TYPES: Final[Mapping[str, type[Event]]] = {
    "impression": Impression,
    "tap": Tap,
    "item_view": ItemView,
    "purchase": Purchase,
    "complaint": Complaint,
}


def parse_event(data: object, *, salt: str, now: datetime | None = None) -> Event:
    """Parse an event, decoded from the JSON of a sender. Its user id is hashed.

    Raises:
        InvalidEvent: with every problem found, each with a stable reason code. None repeats the user id.
    """
    return _validated(data, {_SALT: salt, _NOW: now or datetime.now(UTC)})


def parse_message(data: object) -> Event:
    """Parse an event of a message, as `Event.to_message` writes it, of any age.

    Raises:
        InvalidEvent: with every problem found, such as a `user_id` that is no hash.
    """
    return _validated(data, None)


def event_id_of(data: object) -> str | None:
    """Return the `event_id` of what may be no event, shortened."""
    event_id = data.get("event_id") if isinstance(data, Mapping) else None
    return printable(event_id[:128]) if isinstance(event_id, str) else None


def _validated(data: object, context: Mapping[str, Any] | None) -> Event:
    if not isinstance(data, Mapping):
        raise InvalidEvent(None, (Problem("event", "event_wrong_type", shown(data), "a JSON object"),))
    kind = data.get("type")
    model = EVENT_TYPES.get(kind) if isinstance(kind, str) else None
    if model is None:
        found = shown(kind) if "type" in data else "nothing"
        problem = Problem("type", "type_unknown", found, f"one of {', '.join(EVENT_TYPES)}")
        raise InvalidEvent(event_id_of(data), (problem,))
    try:
        return model.model_validate(dict(data), context=context)
    except ValidationError as error:
        problems = tuple(_without_user_id(problem) for problem in first_per_field(error, model))
        raise InvalidEvent(event_id_of(data), problems) from None  # the cause repeats the user id


def _without_user_id(problem: Problem) -> Problem:
    if problem.field != "user_id" or problem.reason == "user_id_missing":
        return problem
    return replace(problem, found="something else")
