"""Judged items with the documents of their candidates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from calibration.documents import Live, documents_of
from calibration.judgments import Judgments
from mappings.listing import ListingDocument


@dataclass(frozen=True)
class Judged:
    """One item with a vector, and its judged candidates with vectors, in the order of their ids."""

    item: ListingDocument
    candidates: Sequence[ListingDocument]
    grades: Sequence[float]
    importance: float = 1.0
    user: int | None = None
    """Who was shown the candidates; None where they were judged by nobody in particular."""
    seen: datetime | None = None
    """What ages count from; None for the newest of all listings."""

    @property
    def informative(self) -> bool:
        """Whether an order of the candidates can be better than another."""
        return len(set(self.grades)) > 1


@dataclass(frozen=True)
class Collected:
    """The judged items that weights are fitted on, and what was left out."""

    judged: tuple[Judged, ...]
    unknown: int
    """Ids that are not in the live index."""
    without_vector: int
    """Ids whose listing has no vector."""
    undecided: int
    """Items whose candidates in the index all have one grade."""

    @property
    def pairs(self) -> int:
        """The number of judged pairs."""
        return sum(len(each.grades) for each in self.judged)


def collect(live: Live, judgments: Judgments) -> Collected:
    """Read the documents of the items and candidates from the live index.

    Raises:
        NoLiveIndex, SearchUnavailable
    """
    known = known_among(live, {*judgments, *(other for of in judgments.values() for other in of)})
    return known.collected(
        judged_of(item, judgments[item], known.usable) for item in sorted(judgments) if item in known.usable
    )


@dataclass(frozen=True)
class Known:
    """The listings with a vector among some ids, and how many of the others there are."""

    usable: Mapping[str, ListingDocument]
    unknown: int
    without_vector: int

    def collected(self, judged: Iterable[Judged]) -> Collected:
        """Return those whose candidates have different grades."""
        every = list(judged)
        informative = tuple(each for each in every if each.informative)
        return Collected(informative, self.unknown, self.without_vector, len(every) - len(informative))


def known_among(live: Live, item_ids: Iterable[str]) -> Known:
    """Read the documents of items from the live index.

    Raises:
        NoLiveIndex, SearchUnavailable
    """
    ids = sorted(item_ids)
    found = dict(zip(ids, documents_of(live, ids), strict=True))
    usable = {name: document for name, document in found.items() if document and document.vector}
    unknown = sum(document is None for document in found.values())
    return Known(usable, unknown, len(found) - unknown - len(usable))


def judged_of(item: str, grades: Mapping[str, float], usable: Mapping[str, ListingDocument]) -> Judged:
    """Return an item with those of its candidates that have a vector."""
    others = [other for other in sorted(grades) if other in usable]
    return Judged(usable[item], [usable[other] for other in others], [grades[other] for other in others])
