"""Errors about events and their log that an operator has to correct."""

from __future__ import annotations

from settings.errors import UserError


class EventsError(UserError):
    """Something about events or their log that an operator has to correct."""


class EventsNotStored(EventsError):
    """Events are still waiting after the longest time that was allowed."""


class DamagedLogFile(EventsError):
    """A file of the parquet log cannot be read."""
