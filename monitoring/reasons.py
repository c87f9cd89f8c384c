"""Reason codes as values of a label."""

from __future__ import annotations

from typing import Final

from mappings.changes import OPERATION
from mappings.listing import Listing
from telemetry.metrics import BoundedValues

_UNKNOWN: Final = "_unknown"
_KNOWN: Final = {*Listing.model_fields, OPERATION, "item"}
_REASONS: Final = BoundedValues()


def reason_label(reason: str | None) -> str:
    """Return the reason as the value of a label.

    All reasons are words of the code, except that of a field which no listing has: it begins with the name
    that the sender gave it.
    """
    if reason is None:
        return ""
    field = reason.removesuffix(_UNKNOWN)
    if reason.endswith(_UNKNOWN) and field not in _KNOWN:
        return "field_unknown"
    return _REASONS.of(reason)
