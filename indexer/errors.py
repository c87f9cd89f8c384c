"""Why a photo or a file of listings cannot be used; `mappings.failures` has what Elasticsearch answers."""

from __future__ import annotations

from mappings.failures import PermanentFailure, TransientFailure
from settings.errors import UserError


class PhotoGone(PermanentFailure):
    """There is no photo where the event says: 404, 410, or no such file."""


class PhotoRefused(PermanentFailure):
    """The reference leads where this process must not go: off the allowed folders or the public network."""


class PhotoUnusable(PermanentFailure):
    """Something is there, but no photo that can be encoded: too large, too slow, damaged, no picture."""


class PhotoUnavailable(TransientFailure):
    """The photo's server is overloaded, failing or unreachable right now."""


class UnreadableFile(UserError):
    """A file of listings that cannot be read at all."""
