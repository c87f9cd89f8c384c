"""Documents of the live index."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from mappings.identity import EncoderIdentity
from mappings.listing import ListingDocument
from query.search.reader import IndexReader

BATCH: Final = 500
"""Documents in one request, with their vectors."""


@dataclass(frozen=True)
class Live:
    """The live index and its encoder."""

    reader: IndexReader
    index: str
    encoder: EncoderIdentity

    @classmethod
    def of(cls, reader: IndexReader) -> Live:
        """Look it up.

        Raises:
            NoLiveIndex, SearchUnavailable
        """
        return cls(reader, *reader.live(reader.deadline()))


def documents_of(live: Live, item_ids: Sequence[str]) -> Iterator[ListingDocument | None]:
    """Yield the document of each item, None for an unknown one.

    Raises:
        NoLiveIndex, SearchUnavailable
    """
    for start in range(0, len(item_ids), BATCH):
        batch = item_ids[start : start + BATCH]
        yield from live.reader.find_all(live.index, batch, live.reader.deadline()).values()
