"""What a caller may do."""

from __future__ import annotations

from enum import IntEnum


class Role(IntEnum):
    """A role includes those before it."""

    READ = 1
    """Listings, similar items, photos and pages."""
    INGEST = 2
    """Events and listings in."""
    OPERATE = 3
    """Reports and everything that only operators see."""

    @property
    def label(self) -> str:
        """The name in commands, settings and messages."""
        return self.name.lower()
