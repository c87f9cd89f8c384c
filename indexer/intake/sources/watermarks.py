"""How far a query was read: the greatest value of a column, kept from one run to the next.

They are in the Redis of the queue: if it loses its data, the events in the queue are lost with them, and the
next run reads everything again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

import redis

from mappings.listing import isoformat

_READ: Final[Mapping[str, Callable[[str], Any]]] = {
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "Decimal": Decimal,
    "int": int,
    "float": float,
    "str": str,
}
"""The type of a value to what makes it of its text."""


@dataclass(frozen=True)
class Watermarks:
    """A Redis hash with a watermark for each query."""

    client: redis.Redis
    prefix: str

    @property
    def key(self) -> str:
        """The Redis key of the hash."""
        return f"nitamono:{self.prefix}:watermarks"

    def load(self, query: str) -> Any:
        """Return the value that the query was read to; None if it was never read."""
        stored = self.client.hget(self.key, _digest(query))
        if stored is None:
            return None
        found = json.loads(stored)
        return _READ[found["type"]](found["value"])

    def save(self, query: str, value: Any) -> None:
        """Store the value that the query was read to."""
        stored = {
            "type": type(value).__name__,
            "value": str(value),
            "query": query,
            "saved_at": isoformat(datetime.now(UTC)),
        }
        self.client.hset(self.key, _digest(query), json.dumps(stored))


def is_orderable(value: object) -> bool:
    """Return whether a value can be a watermark."""
    return type(value).__name__ in _READ


def _digest(query: str) -> str:
    return hashlib.sha256(query.encode()).hexdigest()[:32]
