"""One row of a file of listings, whatever the format."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from mappings.changes import parse_event
from mappings.errors import InvalidListing, Problem
from mappings.image_roots import is_remote
from mappings.listing import ListingId

MAX_ROW_LENGTH = 1_000_000
"""Characters of a line or record. The largest valid listing has about 60 kB; longer rows are not listings."""

_ITEM_ID = TypeAdapter(ListingId)


@dataclass(frozen=True)
class Checked:
    """A file that can be read."""

    rows: int
    """About how many it has; 0 if that is not known before they are read."""
    encoding: str | None = None
    """The encoding of its text, if it was detected rather than declared."""
    wrapping: str | None = None
    """The name of the list that its listings are in, if it is an object with one."""


@dataclass(frozen=True)
class Row:
    """A line or record of a file: its values by column, later an event, or the reason why it is not one.

    `location` is its position in the file, such as `line 7`.
    """

    event: dict[str, Any] | None
    raw: str = ""
    reason: str = ""
    detail: str = ""
    location: str = ""
    problems: tuple[Problem, ...] = ()
    """Those of an event without a valid item id."""

    def at(self, source: str, root: Path | str | None) -> Row:
        """Return the row with photo paths below `root`, or with its source and location in the detail.

        An event without a valid item id is a problem too: only its location identifies it.
        """
        row = self if self.event is None else checked_id(self, self.event)
        location = f"{source} {row.location}"
        if row.event is not None:
            return replace(row, event=with_root(row.event, root), location=location)
        return replace(row, detail=f"{location}: {row.detail}", location=location)


def checked_id(row: Row, event: dict[str, Any]) -> Row:
    """Return the row; without its event if that has no valid item id."""
    if is_item_id(event.get("item_id")):
        return row
    try:
        parse_event(event)
    except InvalidListing as failure:
        raw, detail = json.dumps(event), str(failure)
        return replace(
            row, event=None, raw=raw, reason=failure.reason, detail=detail, problems=failure.problems
        )
    return row


def is_item_id(value: object) -> bool:
    """Return whether the value is a valid item id."""
    try:
        _ITEM_ID.validate_python(value)
    except ValidationError:
        return False
    return True


def with_root(event: dict[str, Any], root: Path | str | None) -> dict[str, Any]:
    """Return the event with absolute photo paths. Whether they may be read is decided by the worker."""
    images = event.get("images")
    if root is None or not isinstance(images, list):
        return event
    return event | {"images": [join(root, image) for image in images]}


def join(root: Path | str, image: object) -> object:
    """Return the path below the root, a folder or a URL, if the reference is a relative path, else the
    reference. Below a URL, a path that begins with `/` is no relative one."""
    if not isinstance(image, str) or not image or is_remote(image) or ":" in image.split("/")[0]:
        return image
    if isinstance(root, Path):
        return str(root / image)
    return image if image.startswith("/") else f"{root.rstrip('/')}/{image}"
