"""Errors of photos and of files of listings. Those of Elasticsearch are in `mappings.failures`."""

from __future__ import annotations

from mappings.failures import PermanentFailure, TransientFailure
from settings.errors import UserError


class PhotoGone(PermanentFailure):
    """The photo does not exist: status 404 or 410, or no such file."""


class PhotoRefused(PermanentFailure):
    """The photo must not be fetched: it is outside the allowed folders or the public network."""


class PhotoUnusable(PermanentFailure):
    """The photo cannot be encoded: too large, too slow, damaged, or not an image."""


class PhotoUnavailable(TransientFailure):
    """The photo's host is overloaded, failing or unreachable right now."""


class RebuildFailed(UserError):
    """An index cannot be built from another."""


class UnreadableSource(UserError):
    """A source of listings cannot be read."""


class UnreadableFile(UnreadableSource):
    """A file of listings cannot be read."""


class SourceDoubtful(UserError):
    """A source has too few rows for what it lacks to be removed from the index."""
