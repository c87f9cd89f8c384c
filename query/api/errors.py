"""What the API refuses beyond what a search does. `query.api.app` alone maps these to HTTP statuses."""

from __future__ import annotations

from query.search.errors import InvalidParameters, QueryError


class NoValidEvent(InvalidParameters):
    """A batch of events of which none can be taken."""

    separator = "; "


class TooManyEvents(QueryError):
    """A batch of more events than are taken at once."""


class EventsOff(QueryError):
    """This server has no salt to hash user ids with, so it takes no events."""


class QueueUnavailable(QueryError):
    """Redis does not take events, or not in time."""


class PhotoMissing(QueryError):
    """A listing has no such photo, or this machine has no picture to show for it."""

    def __init__(self, item_id: str, number: int, reason: str) -> None:
        self.reason = reason
        super().__init__(f"photo {number} of listing {item_id!r} cannot be shown: {reason}")
