"""The status and price in an event whose other fields may be invalid."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mappings.listing import (
    Currency,
    Instant,
    ListingId,
    Price,
    Status,
    date_problem,
    status_version,
)
from mappings.values import canonical


class PriceTag(BaseModel):
    """A price with its currency. Neither is used without the other."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", allow_inf_nan=False)

    price: Price
    currency: Currency


class StatusUpdate(BaseModel):
    """The status of an item at an instant, and its price if that is valid too."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    item_id: ListingId
    status: Status = Field(strict=False)
    updated_at: Instant
    price_tag: PriceTag | None = None

    @property
    def version(self) -> int:
        """Its version in the order of the item's events. A complete event of the same instant and status has
        the same version or a later one."""
        return status_version(self.updated_at, self.status)

    def __str__(self) -> str:
        """Return the rule by which it is applied, for a dead letter. The letter is written first, so that no
        concurrent writer misses it; whether the update applies is not known by then."""
        if self.price_tag:
            return "its status and price are applied to the stored listing if they are newer"
        return "its status is applied to the stored listing if it is newer"

    @property
    def changes(self) -> dict[str, Any]:
        """The fields of a listing or document that it sets."""
        changes: dict[str, Any] = {"status": self.status, "updated_at": self.updated_at}
        return changes | (self.price_tag.model_dump() if self.price_tag else {})

    def overrides(self, status: Status, version: int) -> bool:
        """Return whether it is newer than a listing of this status and version, and can be applied to it. A
        removed listing cannot be restored by it, since its title and photos are deleted."""
        restores = status is Status.REMOVED and self.status is not Status.REMOVED
        return self.version > version and not restores


def parse_status_update(event: object, *, now: datetime | None = None) -> StatusUpdate | None:
    """Return the status update in `event`, decoded JSON; None if its item_id, status or date is invalid."""
    try:
        update = status_update_of(canonical(event)) if isinstance(event, Mapping) else None
    except ValidationError:
        return None
    if update is None:
        return None
    problem = date_problem("updated_at", update.updated_at, now or datetime.now(UTC))
    return None if problem else update


def status_update_of(source: Mapping[Any, Any]) -> StatusUpdate:
    """Return the status update in the source of a stored document, or in an event.

    Raises:
        ValidationError: the item_id, the status or updated_at is invalid.
    """
    named = {name: source.get(name) for name in ("item_id", "status", "updated_at")}
    return StatusUpdate.model_validate(named | {"price_tag": _price_tag(source)})


def _price_tag(source: Mapping[Any, Any]) -> PriceTag | None:
    try:
        return PriceTag.model_validate({name: source.get(name) for name in ("price", "currency")})
    except ValidationError:
        return None
