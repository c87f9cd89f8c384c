"""The name of the live index, remembered for a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from query.search.reader import IndexReader, RequestDeadline

REMEMBERED_S: Final = 1.0
"""A swap of the alias takes effect on stored answers within this, and they cost no request."""


class LiveIndexNames:
    """The index behind the read alias of each reader. Safe to share between threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[str, tuple[str, float]] = {}

    def of(self, reader: IndexReader, deadline: RequestDeadline) -> str:
        """Return the name of the live index.

        Raises:
            NoLiveIndex, SearchUnavailable
        """
        name, read_at = self._known.get(reader.prefix, ("", 0.0))
        now = self._clock()
        if not name or now - read_at > REMEMBERED_S:
            name = reader.live(deadline)[0]
            self._known[reader.prefix] = (name, now)
        return name
