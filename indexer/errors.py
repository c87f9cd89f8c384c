"""What keeps an event from becoming a document: permanent facts, and conditions that pass."""

from __future__ import annotations


class IndexingFailure(Exception):
    """An event could not be turned into a document. `reason` is a stable code for counts and dead letters."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class PermanentFailure(IndexingFailure):
    """Trying again gives the same: the event is counted as rejected and kept as a dead letter."""


class PhotoGone(PermanentFailure):
    """There is no photo where the event says: 404, 410, or no such file."""


class PhotoRefused(PermanentFailure):
    """The reference leads where this process must not go: off the allowed folders or the public network."""


class PhotoUnusable(PermanentFailure):
    """Something is there, but no photo that can be encoded: too large, too slow, damaged, no picture."""


class DocumentRejected(PermanentFailure):
    """Elasticsearch refuses the document itself."""


class TransientFailure(IndexingFailure):
    """Trying again later may well succeed: the event waits and comes back."""


class PhotoUnavailable(TransientFailure):
    """The photo's server is overloaded, failing or unreachable right now."""


class ElasticsearchUnavailable(TransientFailure):
    """Elasticsearch does not take documents right now, whatever the event."""


class UnreadableFile(Exception):
    """A file of listings that cannot be read at all."""
