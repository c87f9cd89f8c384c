"""Whether an item is for sale and at what price, where the rest of its event is refused."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mappings.listing import (
    Currency,
    Identifier,
    Instant,
    Price,
    Status,
    date_problem,
    status_version,
)


class Asked(BaseModel):
    """A price with its currency: neither means anything alone."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", allow_inf_nan=False)

    price: Price
    currency: Currency


class Standing(BaseModel):
    """The status of an item at an instant, and its price where that is valid too."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    item_id: Identifier
    status: Status = Field(strict=False)
    updated_at: Instant
    asked: Asked | None = None

    @property
    def version(self) -> int:
        """Its place in the order of an item's events. A complete event of the same instant and status has
        this version or a later one."""
        return status_version(self.updated_at, self.status)

    def __str__(self) -> str:
        """What becomes of it, for a dead letter: `only status and price are applied`."""
        return f"only {'status and price are' if self.asked else 'status is'} applied"

    @property
    def changes(self) -> dict[str, Any]:
        """The fields of a listing or of its document that it sets."""
        changes: dict[str, Any] = {"status": self.status, "updated_at": self.updated_at}
        return changes | (self.asked.model_dump() if self.asked else {})

    def overrides(self, status: Status, version: int) -> bool:
        """Whether it is newer than a listing of this status and version, and can be applied to it. A removed
        listing has no title or photo left to be offered with."""
        comes_back = status is Status.REMOVED and self.status is not Status.REMOVED
        return self.version > version and not comes_back


def parse_standing(event: object, *, now: datetime | None = None) -> Standing | None:
    """The standing in `event`, decoded JSON; None without a valid item_id, status and updated_at."""
    try:
        standing = standing_of(event) if isinstance(event, Mapping) else None
    except ValidationError:
        return None
    if standing is None:
        return None
    late = date_problem("updated_at", standing.updated_at, now or datetime.now(UTC))
    return None if late else standing


def standing_of(source: Mapping[Any, Any]) -> Standing:
    """The standing in the source of a stored document, or in an event.

    Raises:
        ValidationError: of the item_id, the status or updated_at.
    """
    named = {name: source.get(name) for name in ("item_id", "status", "updated_at")}
    return Standing.model_validate(named | {"asked": _asked(source)})


def _asked(source: Mapping[Any, Any]) -> Asked | None:
    try:
        return Asked.model_validate({name: source.get(name) for name in ("price", "currency")})
    except ValidationError:
        return None
