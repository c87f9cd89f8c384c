"""Events of all operations: a complete listing, some of its fields, its removal, or no more than its id."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from pydantic import ValidationError

from mappings.errors import InvalidListing, Problem
from mappings.listing import (
    NO_CURRENCY,
    Listing,
    Status,
    content_version,
    item_id_of,
    parse_listing,
    status_version,
    validated,
)
from mappings.problems import first_per_field, one_of, shown
from mappings.values import canonical

OPERATION: Final = "op"
"""The field of an event that names its operation; without it, the event is a complete listing."""
PUT: Final = "put"
UPDATE: Final = "update"
REMOVE: Final = "remove"
REFRESH: Final = "refresh"
"""It says nothing of the item: its documents are brought up to date in every index, such as a new one."""
OPERATIONS: Final = {
    PUT: "A complete listing, as without `op`.",
    UPDATE: "The fields that have changed at `updated_at`; null clears one that is not required.",
    REMOVE: "The listing has ended at `updated_at`; other fields are ignored.",
    REFRESH: "Nothing has changed: the documents of `item_id` are brought up to date in every index, and "
    "photos that could not be used are tried again. It needs no other field.",
}
"""Each with what its event says of the item."""

_KEY_FIELDS: Final = frozenset({"item_id", "updated_at"})
_CHANGEABLE: Final = tuple(name for name in Listing.model_fields if name not in _KEY_FIELDS)
_CLEARED: Final = {
    name: info.get_default() for name, info in Listing.model_fields.items() if not info.is_required()
}
"""Field that may be absent to its value when it is cleared."""
_PLACEHOLDER: Final = {
    "title": "-",
    "category": ["-"],
    "currency": NO_CURRENCY,
    "seller_id": "-",
    "status": Status.ON_SALE.value,
    "created_at": "2000-01-01T00:00:00Z",
}
"""Valid values of what a complete listing needs, for the validation of some of its fields."""


@dataclass(frozen=True)
class Change:
    """Some fields of a listing since an instant, or its removal."""

    item_id: str
    version: int
    """Its place in the order of the item's events; 0 if it says nothing."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """Field to its new value as JSON; None clears the field. It never has `status: removed`."""
    removes: bool = False


def parse_event(event: object, *, now: datetime | None = None) -> Listing | Change:
    """Return the listing or change in `event`, which is decoded JSON, by its `op`.

    Raises:
        InvalidListing: with every problem found, each with a stable reason code.
    """
    operation = event.get(OPERATION) if isinstance(event, Mapping) else None
    if operation is None or operation == PUT or not isinstance(event, Mapping):
        return parse_listing(event, now=now)
    if operation not in tuple(OPERATIONS):  # it may be unhashable
        problem = Problem(OPERATION, "op_unknown", shown(operation), one_of(OPERATIONS))
        raise InvalidListing(item_id_of(event), (problem,))
    if operation == REFRESH:
        key = {"item_id": event.get("item_id"), "updated_at": _PLACEHOLDER["created_at"]}
        return Change(_validated({}, key, now).item_id, version=0)
    return parse_change(event, now=now, removes=operation == REMOVE)


def parse_change(event: Mapping[Any, Any], *, now: datetime | None = None, removes: bool = False) -> Change:
    """Return the change in an event that has an item, an instant and any other fields of a listing.

    removes: the event is a removal, whatever else is in it.

    Raises:
        InvalidListing: with every problem found, each with a stable reason code.
    """
    listing = _validated({} if removes else event, event, now)
    values = {} if removes else _values(event, listing)
    removes = removes or values.get("status") == Status.REMOVED
    if removes:
        values, status = {}, Status.REMOVED
    else:
        status = Status(values["status"]) if "status" in values else Status.ON_SALE
    version = content_version(listing.updated_at, status, values)
    return Change(listing.item_id, version, values, removes)


def status_change(event: object, *, now: datetime | None = None) -> Change | None:
    """Return the status in an event that is rejected for other fields, and its price if that is valid too.

    It has the least version of its instant and status, so that the corrected event replaces it. None if the
    item, the status or the instant is invalid.
    """
    if not isinstance(event, Mapping):
        return None
    update = {name: event.get(name) for name in ("item_id", "updated_at", "status")}
    if event.get(OPERATION) in (REMOVE, REFRESH) or None in update.values():
        return None
    price = {name: event.get(name) for name in ("price", "currency")}
    for fields in ({} if None in price.values() else price, {}):
        try:
            change = parse_change(update | fields, now=now)
        except InvalidListing:
            continue
        status = Status.REMOVED if change.removes else Status(change.values["status"])
        least = status_version(_instant(update | fields), status)
        return Change(change.item_id, least, change.values, change.removes)
    return None


def _instant(fields: Mapping[str, Any]) -> datetime:
    return Listing.model_validate(_PLACEHOLDER | canonical(fields)).updated_at


def _validated(fields: Mapping[Any, Any], event: Mapping[Any, Any], now: datetime | None) -> Listing:
    """Return a listing with the valid fields of an event, and placeholders for those that it lacks."""
    key = {name: event.get(name) for name in _KEY_FIELDS}
    given = canonical({**{name: fields[name] for name in _CHANGEABLE if name in fields}, **key})
    missing = tuple(_nulls(fields))
    try:
        listing = validated(_PLACEHOLDER | given, now)
    except ValidationError as error:
        raise InvalidListing(item_id_of(event), first_per_field(error, Listing) + missing) from error
    if missing:
        raise InvalidListing(listing.item_id, missing)
    return listing


def _nulls(fields: Mapping[Any, Any]) -> Iterator[Problem]:
    """Yield the problems of fields that are null though a listing must have them."""
    for name in _CHANGEABLE:
        if name in fields and fields[name] is None and name not in _CLEARED:
            yield Problem(name, f"{name}_missing", "null", "a value")


def _values(event: Mapping[Any, Any], listing: Listing) -> dict[str, Any]:
    valid = listing.model_dump(mode="json", include=set(_CHANGEABLE))
    return {name: valid[name] for name in _CHANGEABLE if name in event}
