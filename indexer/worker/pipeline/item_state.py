"""What the events of an item say, in whatever order and however often they arrive.

The state of an item is the newest complete event, the newest change of each field since, and the newest
removal. Two states of an item join into one, so that all writers and all indices agree in the end: `join` is
commutative, associative and idempotent (docs/decisions/003-order-of-events.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import reduce
from typing import Any, Final

from mappings.changes import Change
from mappings.listing import Listing, Status, content_version, status_version

KEPT_FIELDS: Final = ("category", "price", "currency", "seller_id", "created_at")
"""What the page of a removed item needs to show similar ones. All else of it is deleted."""

LISTING_FIELDS: Final = tuple(name for name in Listing.model_fields if name not in {"item_id", "updated_at"})


@dataclass(frozen=True)
class ItemState:
    """What is known of an item, values as JSON. Versions are those of `event_version`; 0 is no event's."""

    version: int = 0
    """That of the newest complete event."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """The listing in that event; only its KEPT_FIELDS if the item was removed since."""
    changes: Mapping[str, tuple[int, Any]] = field(default_factory=dict)
    """Field to the version and the value of its newest change, where that is later than the listing."""
    removal: int = 0
    """The version of the newest removal; 0 if a complete event is newer."""

    @classmethod
    def of_listing(cls, listing: Listing) -> ItemState:
        """Return what a complete event says."""
        event = listing.to_event()
        version = content_version(listing.updated_at, listing.status, event)
        fields = {name: event[name] for name in LISTING_FIELDS if name in event}
        if listing.status is not Status.REMOVED:
            return cls(version, fields)
        return cls(version, _kept(fields), removal=version)

    @classmethod
    def of_change(cls, change: Change) -> ItemState:
        """Return what a change or removal says."""
        changes = {name: (change.version, value) for name, value in change.values.items()}
        return cls(changes=changes, removal=change.version if change.removes else 0)

    @classmethod
    def of_source(cls, source: Mapping[str, Any], version: int) -> ItemState:
        """Return the state in a stored document.

        version: that of Elasticsearch. Documents of version 0.1 had the version of their listing there.
        """
        fields = {name: source[name] for name in LISTING_FIELDS if name in source}
        if "version" not in source:
            return _of_old_source(source, fields, version)
        changes = {name: (at, value) for name, at, value in source.get("changes") or ()}
        known = fields if source["version"] else {}  # those of an unknown item are placeholders
        return cls(source["version"], known, changes, source.get("removal_version") or 0)

    @property
    def is_known(self) -> bool:
        """Whether there was a complete event."""
        return self.version > 0

    @property
    def is_removed(self) -> bool:
        """Whether there is nothing to show: the item is removed, or unknown."""
        return self.removal >= self.version

    @property
    def latest(self) -> int:
        """The version of the newest event."""
        return max(self.version, self.removal, *(version for version, _ in self.changes.values()))

    @property
    def versions(self) -> tuple[int, int, dict[str, int]]:
        """What tells two states of an item apart."""
        return self.version, self.removal, {name: version for name, (version, _) in self.changes.items()}

    def listing_fields(self) -> dict[str, Any]:
        """Return the fields of the listing as they are now; of a removed one, those that are kept."""
        values = dict(self.fields) | {name: value for name, (_, value) in self.changes.items()}
        return _kept(values) | {"status": Status.REMOVED.value} if self.is_removed else values


NOTHING_KNOWN: Final = ItemState()


def join(states: Iterable[ItemState]) -> ItemState:
    """Return what these states of one item say together."""
    return reduce(_join, states, NOTHING_KNOWN)


def _join(one: ItemState, other: ItemState) -> ItemState:
    if one is NOTHING_KNOWN:
        return other
    newest = one if one.version >= other.version else other
    removal = max(one.removal, other.removal)
    changes = {
        name: change
        for name in one.changes.keys() | other.changes.keys()
        if (change := _newer(one.changes.get(name), other.changes.get(name)))[0]
        > (newest.version if name in KEPT_FIELDS else max(newest.version, removal))
    }
    if removal < newest.version:
        return ItemState(newest.version, newest.fields, changes)
    return ItemState(newest.version, _kept(newest.fields), changes, removal)


def _newer(one: tuple[int, Any] | None, other: tuple[int, Any] | None) -> tuple[int, Any]:
    """Return the newer change of a field; of the same version, one that does not depend on their order."""
    return max((each for each in (one, other) if each), key=lambda change: (change[0], repr(change[1])))


def _kept(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: fields[name] for name in KEPT_FIELDS if name in fields}


def _of_old_source(source: Mapping[str, Any], fields: Mapping[str, Any], version: int) -> ItemState:
    """Return the state in a document of version 0.1, whose status and price may be later than its listing."""
    status = Status(source["status"])
    later = status_version(datetime.fromisoformat(source["updated_at"]), status)
    if status is Status.REMOVED:
        return ItemState(version, _kept(fields), removal=max(version, later))
    changed = ("status", "price", "currency") if later > version else ()
    return ItemState(version, fields, {name: (later, source.get(name)) for name in changed})
