"""Errors of the API beyond those of a search. `query.api.failures` alone maps them to HTTP statuses."""

from __future__ import annotations

from query.search.errors import InvalidParameters, QueryError


class NoValidEvent(InvalidParameters):
    """A batch of events without a valid one."""

    separator = "; "


class InvalidListings(InvalidParameters):
    """A request without a valid listing."""

    separator = "; "


class TooManyEvents(QueryError):
    """A batch of more events than one request may hold."""


class EventsOff(QueryError):
    """No salt to hash user ids with is set, so this server accepts no events."""


class QueueUnavailable(QueryError):
    """Redis did not accept events in time."""


class TooManyItems(QueryError):
    """A batch of more listings than one request may hold."""


class KeyReused(QueryError):
    """An idempotency key was used for another request before."""


class UnknownJob(QueryError):
    """No job has this id: there was none, or it has expired."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"no job {job_id[:60]!r}; jobs are kept for an hour after their last change")


class PhotoMissing(QueryError):
    """No such photo of a listing, or no image file for it on this machine."""

    def __init__(self, item_id: str, number: int, reason: str) -> None:
        self.reason = reason
        super().__init__(f"photo {number} of listing {item_id!r} cannot be shown: {reason}")


class KeyRequired(QueryError):
    """The request needs an API key."""


class InvalidKey(QueryError):
    """The API key of the request is malformed, unknown, revoked or expired: which of them, is not told."""

    def __init__(self) -> None:
        super().__init__("the API key is not valid; `nitamono keys list` shows the valid ones")


class RoleRequired(QueryError):
    """The API key of the request is valid, and its role does not suffice."""


class TooManyRequests(QueryError):
    """The rate limit is reached."""

    def __init__(self, found: str, retry_after_s: int) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(f"{found}; retry in {retry_after_s} s")


class QueueFull(TooManyRequests):
    """As many messages as may wait do wait."""
