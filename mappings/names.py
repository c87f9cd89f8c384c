"""The names of indices and aliases: one build and parse pair."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from mappings.errors import InvalidIndexName

DEFAULT_PREFIX = "listings"

_DEAD_LETTER_OF_ITEM = "item:"

_TIMESTAMP = "%Y%m%d%H%M%S"
_NAME = re.compile(r"(?P<head>[a-z0-9][a-z0-9_-]*)-(?P<created>\d{14})")


@dataclass(frozen=True)
class IndexName:
    """`<prefix>-<encoder_id>-<YYYYMMDDHHMMSS>`, the time in UTC."""

    prefix: str
    encoder_id: str
    created: datetime

    def __str__(self) -> str:
        return f"{self.prefix}-{self.encoder_id}-{self.created.astimezone(UTC):{_TIMESTAMP}}"

    @classmethod
    def parse(cls, name: str, prefix: str) -> IndexName:
        """Split an index name into its parts.

        Raises:
            InvalidIndexName: the name is of another form or prefix.
        """
        match = _NAME.fullmatch(name)
        if match is None or not match["head"].startswith(f"{prefix}-"):
            raise InvalidIndexName(f"index {name!r}, expected {prefix}-<encoder_id>-<YYYYMMDDHHMMSS>")
        created = datetime.strptime(match["created"], _TIMESTAMP).replace(tzinfo=UTC)
        return cls(prefix, match["head"].removeprefix(f"{prefix}-"), created)


def read_alias(prefix: str, arm: str | None = None) -> str:
    """Return the alias that requests read; of one experiment arm, if given."""
    return f"{prefix}-read" if arm is None else f"{prefix}-read-{arm}"


def write_alias(prefix: str) -> str:
    """Return the alias of all indices that are kept up to date."""
    return f"{prefix}-write"


def written_through(index: str) -> str:
    """Return the alias through which an index is written.

    A write that names a missing index makes Elasticsearch create it, with whatever mapping the first document
    suggests. A missing alias is refused: by `require_alias`, and for deletions, which have no such parameter,
    because no index can have a name with a capital letter.
    """
    return f"{index}-W"


def dead_letter_index(prefix: str) -> str:
    """Return the index of events that could not be processed."""
    return f"{prefix}-dead-letters"


def dead_letter_id(item_id: str) -> str:
    """Return the id of the dead letter of an item. That of an event without a valid item is another."""
    return f"{_DEAD_LETTER_OF_ITEM}{item_id}"


def item_of_dead_letter(id_: str) -> str:
    """Return the item that a dead letter of this id is of."""
    return id_.removeprefix(_DEAD_LETTER_OF_ITEM)
