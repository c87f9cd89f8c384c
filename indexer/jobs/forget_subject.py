"""Whose listings are forgotten, and how they are recognised in events and in text."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from mappings.listing import item_id_of

_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|\d+')
"""A string or a whole number of JSON."""


@dataclass(frozen=True)
class Subject:
    """Items, and the seller of them if all listings of a seller are to be forgotten."""

    item_ids: Collection[str]
    seller_id: str | None = None

    def is_in(self, event: object) -> bool:
        """Return whether an event is about one of the items, or of the seller."""
        if not isinstance(event, Mapping):
            return isinstance(event, str) and self.is_named_in(event)
        if item_id_of(event) in self.item_ids:
            return True
        return self.seller_id is not None and str(event.get("seller_id")) == self.seller_id

    def is_named_in(self, text: str) -> bool:
        """Return whether a text, which may be damaged JSON, has one of the ids as a value."""
        names = {*self.item_ids, *([self.seller_id] if self.seller_id is not None else [])}
        return any(name in names for name in _values(text))


def _values(text: str) -> Iterator[Any]:
    for token in _TOKEN.findall(text):
        try:
            yield json.loads(token) if token.startswith('"') else token
        except ValueError:  # an escape that there is not
            continue
