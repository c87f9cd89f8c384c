"""What `nitamono index` reads, wherever it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from indexer.intake.files import SkippedFile
from indexer.intake.listing_map import ListingMap
from indexer.intake.row import Row
from indexer.intake.sources.watermarks import Watermarks


@dataclass(frozen=True)
class Preview:
    """A source that can be read."""

    rows: int = 0
    """About how many it has; 0 if that is not known before they are read."""
    notes: tuple[str, ...] = ()
    """What a user should know before the rows are sent, such as a detected encoding."""


class Source(Protocol):
    """Listings to index."""

    @property
    def name(self) -> str:
        """The source in messages, without passwords."""

    @property
    def photo_folder(self) -> Path | None:
        """The folder that relative photo paths start from; None if they start from no folder of this
        machine."""

    @property
    def skipped_files(self) -> tuple[SkippedFile, ...]:
        """The files that are not read."""

    def check(self, rules: ListingMap) -> Preview:
        """Check that the source can be read, before a row is sent.

        Raises:
            UnreadableSource: it cannot be read.
        """

    def sample(self, rules: ListingMap) -> Iterator[Row]:
        """Yield rows by column, for a proposed map.

        Raises:
            UnreadableSource: it cannot be read.
        """

    def read(self, rules: ListingMap) -> Iterator[Row]:
        """Yield the rows with their events.

        Raises:
            UnreadableSource: it cannot be read.
        """

    def continue_from(self, watermarks: Watermarks, *, full: bool) -> str:
        """Read only what was not accepted before, if the source can tell; with `full`, read everything.

        Returns what is read, as a sentence; empty if it is everything.
        """

    def accepted(self) -> None:
        """Note that all rows that were read so far need not be read again."""
