"""Names of the indices, the queue and the task of events."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Final

from mappings.errors import InvalidIndexName

STORE_EVENTS: Final = "events.store_events"
"""The task. Its argument is a list of events as `events.schema.Event.to_message` makes them."""

_DAY: Final = "%Y.%m.%d"


def event_queue(prefix: str) -> str:
    """Return the Celery queue of events: one for each prefix, so that deployments can share a Redis."""
    return f"nitamono-{prefix}-events"


def event_index(prefix: str, day: date) -> str:
    """Return the index of the events of a day (UTC)."""
    return f"{prefix}-events-{day:{_DAY}}"


def event_indices(prefix: str) -> str:
    """Return a pattern that matches all daily indices and nothing else."""
    return f"{prefix}-events-*.*.*"


def rejected_events_index(prefix: str) -> str:
    """Return the index of events that could not be stored."""
    return f"{prefix}-events-rejected"


def day_of(index: str, prefix: str) -> date:
    """Return the day of a daily index.

    Raises:
        InvalidIndexName: the name has another form or prefix.
    """
    match = re.fullmatch(rf"{re.escape(prefix)}-events-(\d{{4}}\.\d\d\.\d\d)", index)
    try:
        if match:
            return datetime.strptime(match[1], _DAY).replace(tzinfo=UTC).date()
    except ValueError:  # a month 13
        pass
    raise InvalidIndexName(f"index {index!r}, expected {prefix}-events-<YYYY.MM.DD>")
