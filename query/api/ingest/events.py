"""Listing events made from requests, with all that can be known to be wrong with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from mappings.changes import OPERATION, UPDATE, parse_event
from mappings.errors import InvalidListing, Problem, UnknownField
from mappings.listing import Listing, isoformat, item_id_of
from mappings.problems import LONGEST_FIELD, printable, shown
from query.api.ingest.bodies import Unreadable
from queues.listings.outcomes import OutcomeKind, ToldOutcome

UNEXPECTED_JSON: Final = (TypeError, ValueError, OverflowError, RecursionError)
"""As the worker has it: the errors of reading JSON that no validation foresaw."""


@dataclass(frozen=True)
class CheckedItems:
    """The items of a request: by position, the events to queue and the problems of the others."""

    item_ids: tuple[str | None, ...]
    events: Mapping[int, Mapping[str, Any]]
    invalid: Mapping[int, tuple[Problem, ...]]

    def rejected(self) -> dict[int, ToldOutcome]:
        """Return the outcomes of the invalid items."""
        return {
            position: ToldOutcome(
                OutcomeKind.REJECTED,
                reason=problems[0].reason,
                detail="; ".join(map(str, problems)),
            )
            for position, problems in self.invalid.items()
        }


def checked(items: Sequence[Any], now: datetime) -> CheckedItems:
    """Return the items as events, sorted by whether they are valid.

    now: the time of those that have none. Each has a microsecond more, so that their order holds.
    """
    events: dict[int, Mapping[str, Any]] = {}
    invalid: dict[int, tuple[Problem, ...]] = {}
    item_ids: list[str | None] = []
    for position, item in enumerate(items):
        event = timed(item, now + timedelta(microseconds=position))
        item_id = item_id_of(event) if isinstance(event, Mapping) else None
        item_ids.append(item_id and printable(item_id))
        problems = tuple(problems_of(event, now))
        if problems:
            invalid[position] = problems
        else:
            events[position] = event
    return CheckedItems(tuple(item_ids), events, invalid)


def timed(item: Any, now: datetime) -> Any:
    """Return the item with the time of its arrival where it has none."""
    if not isinstance(item, dict) or item.get("updated_at") is not None:
        return item
    return {**item, "updated_at": isoformat(now)}


def problems_of(event: Any, now: datetime) -> Iterator[Problem]:
    """Yield every problem of an event."""
    if isinstance(event, Unreadable):
        yield event.problem
        return
    if isinstance(event, Mapping) and event.get(OPERATION) == UPDATE:
        yield from _unknown_fields(event)
    try:
        parse_event(event, now=now)
    except InvalidListing as error:
        yield from error.problems
    except UNEXPECTED_JSON as error:
        yield Problem("listing", "event_unreadable", type(error).__name__, "the fields of a listing")


def operation(name: str, item_id: str, fields: Any) -> dict[str, Any]:
    """Return the event of an operation on the item of a path, given the fields of the body.

    Its own problems, such as another item, are left to `mismatches`.
    """
    return {**(fields if isinstance(fields, dict) else {}), OPERATION: name, "item_id": item_id}


def mismatches(name: str, item_id: str, fields: Any) -> Iterator[Problem]:
    """Yield the problems of a body that do not fit the method and the path of its request."""
    if not isinstance(fields, dict):
        yield Problem("listing", "event_wrong_type", shown(fields), "a JSON object")
        return
    if fields.get("item_id") is not None and item_id_of(fields) != item_id:
        yield Problem(
            "item_id", "item_id_mismatch", shown(fields["item_id"]), f"{shown(item_id)}, as in the path"
        )
    if fields.get(OPERATION, name) != name:
        yield Problem(OPERATION, "op_mismatch", shown(fields[OPERATION]), f"{name}, as the method says")


def _unknown_fields(event: Mapping[str, Any]) -> Iterator[Problem]:
    """A misspelt field of a change would change nothing, in silence."""
    known = ", ".join(Listing.model_fields)
    for name in event:
        if name not in Listing.model_fields and name != OPERATION:
            field = printable(name[:LONGEST_FIELD])
            yield UnknownField(field, f"{field}_unknown", shown(event[name]), known)
