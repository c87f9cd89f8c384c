"""One row of a file of listings, whatever the format."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from mappings.errors import InvalidListing
from mappings.image_roots import is_remote
from mappings.listing import Identifier, Listing, parse_listing

LONGEST_ROW = 1_000_000
"""Characters of a line or record. A listing of the largest allowed size has some 60 kB; a longer row is some
other kind of file."""
ATTRIBUTE_PREFIX = "attributes."
OPTIONAL = frozenset({"images", "attributes"})
"""Fields that a table may lack: no column means no photo and no attribute."""
REQUIRED = tuple(name for name in Listing.model_fields if name not in OPTIONAL)

_ITEM_ID = TypeAdapter(Identifier)


@dataclass(frozen=True)
class Row:
    """One line or record of a file: an event, or why it is none. `place` says where, such as `line 7`."""

    event: dict[str, Any] | None
    raw: str = ""
    reason: str = ""
    detail: str = ""
    place: str = ""

    def at(self, file: str, root: Path) -> Row:
        """The row of that file: an event's photo paths below `root`, a problem's detail with its place.

        An event about no item is a problem too: where it was is all that could lead a person to it.
        """
        row = self if self.event is None else checked_id(self, self.event)
        if row.event is not None:
            return replace(row, event=with_root(row.event, root))
        return replace(row, detail=f"{file} {row.place}: {row.detail}")


def checked_id(row: Row, event: dict[str, Any]) -> Row:
    """The row, without its event where that has no valid item id."""
    if is_item_id(event.get("item_id")):
        return row
    try:
        parse_listing(event)
    except InvalidListing as failure:
        return replace(row, event=None, raw=json.dumps(event), reason=failure.reason, detail=str(failure))
    return row


def is_item_id(value: object) -> bool:
    """Whether the value is a valid item id."""
    try:
        _ITEM_ID.validate_python(value)
    except ValidationError:
        return False
    return True


def field_of(column: str) -> str:
    """The field that a column's name stands for: known names in any case and with spaces around them.

    What follows `attributes.` is the producer's own word and stays as it is.
    """
    name = column.strip().strip("\ufeff")
    lower = name.lower()
    if lower.startswith(ATTRIBUTE_PREFIX):
        return ATTRIBUTE_PREFIX + name[len(ATTRIBUTE_PREFIX) :]
    return lower if lower in Listing.model_fields else name


def is_known(name: str) -> bool:
    """Whether a field belongs to a listing."""
    return name in Listing.model_fields or name.startswith(ATTRIBUTE_PREFIX)


def column_problem(names: list[str]) -> str:
    """What is wrong with the columns of a table, in a sentence; empty where nothing is."""
    known = [name for name in names if is_known(name)]
    repeated = sorted({name for name in known if known.count(name) > 1})
    if repeated:
        return f"column {', '.join(repeated)} is there twice; keep one"
    missing = [name for name in REQUIRED if name not in known]
    if missing:
        found = ",".join(names)
        return f"found no column {', '.join(missing)}; the header is {found[:200]!r}"
    return ""


def with_root(event: dict[str, Any], root: Path) -> dict[str, Any]:
    """The event with its relative photo paths made absolute. Whether they may be read, the worker decides."""
    images = event.get("images")
    if not isinstance(images, list):
        return event
    return event | {"images": [join(root, image) for image in images]}


def join(root: Path, image: object) -> object:
    """The reference below the root, if it is a relative path."""
    if not isinstance(image, str) or not image or is_remote(image) or ":" in image.split("/")[0]:
        return image
    return str(root / image)
