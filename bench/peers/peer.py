"""The interface of a peer: a store of vectors that answers the same questions as nitamono."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from bench.catalogue import Catalogue
from bench.query import RATIOS, Oracle
from bench.served import SIZE

NOT_FOR_SALE: Final = "-"

GRAPH: Final = {"m": 16, "ef_construction": 100}
"""Of each peer's HNSW graph, as in Elasticsearch."""


@dataclass(frozen=True)
class Effort:
    """How hard a peer searches."""

    k: int
    """The candidates of each search; graphs keep twice as many in view."""
    by_leaf: bool
    """Whether a second search is for the item's own leaf category, as in nitamono."""

    def __str__(self) -> str:
        return f"K={self.k}" + (", twice" if self.by_leaf else "")


EFFORTS: Final = tuple(
    [Effort(k, by_leaf=False) for k in (50, 200, 800, 3200)] + [Effort(k, by_leaf=True) for k in (50, 200)]
)


class Market:
    """A catalogue in memory: what the application around a peer knows of its listings.

    The last `held_back` listings are not for sale until they are added.
    """

    def __init__(self, catalogue: Catalogue, held_back: int) -> None:
        self.catalogue = catalogue
        self.oracle = Oracle(catalogue.listings, catalogue.vectors, catalogue.encoder)
        self.vectors = catalogue.vectors
        self.built = len(catalogue.listings) - held_back
        self.oracle.on_sale[self.built :] = False
        self.leaves = [listing.category[-1] for listing in catalogue.listings]

    def offer(self, row: int) -> str:
        """Currency and price step of a listing for sale, as one keyword to filter by."""
        if not self.oracle.on_sale[row]:
            return NOT_FOR_SALE
        return f"{self.oracle.currencies[row]}|{int(self.oracle.steps[row])}"

    def offers(self, row: int, ratio: float) -> list[str]:
        """The offers in the price band around a listing."""
        first, last = self.oracle.band(row, ratio)
        return [f"{self.oracle.currencies[row]}|{step}" for step in range(int(first), int(last) + 1)]

    def best(self, query: int, candidates: NDArray[np.intp]) -> list[str]:
        """The ids of the best candidates (m,) by the ranking terms."""
        order = np.argsort(-self.oracle.scores(query, candidates), kind="stable")[:SIZE]
        return [self.oracle.ids[row] for row in candidates[order]]

    def set_price(self, row: int, price: float) -> None:
        """Change a price in memory."""
        self.oracle.columns.price[row] = price
        self.oracle.steps[row] = self.oracle.step(price)


class Peer(ABC):
    """A way to answer, with the cost of changes."""

    name: ClassVar[str]
    persists: ClassVar[bool]
    """Whether each change is on disk without a rewrite of the whole index."""
    filters: ClassVar[bool]
    """Whether the filters are used inside its vector search."""
    note: ClassVar[str]
    """What a reader has to know about it."""
    efforts: ClassVar[Sequence[Effort]] = EFFORTS

    def __init__(self, market: Market, folder: Path) -> None:
        self.market, self.folder = market, folder

    @abstractmethod
    def build(self) -> None:
        """Store the first `market.built` listings, on disk where the peer can."""

    @abstractmethod
    def answer(self, query: int, effort: Effort) -> list[str]:
        """The ids of the items most similar to a listing, best first."""

    @abstractmethod
    def write(self, row: int) -> None:
        """Store a listing that is new or whose price has changed."""

    def size(self) -> int:
        """Bytes on disk; 0 where nothing is written."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())

    def close(self) -> None:  # noqa: B027  most have nothing to release
        """Release files and processes."""


class Store(Peer):
    """A peer that returns candidates, which are re-ranked here."""

    @abstractmethod
    def nearest(self, query: int, k: int, offers: Sequence[str], leaf: str | None) -> Sequence[int]:
        """The rows of the k nearest of a listing that pass the filters; of all where it has no filters."""

    def answer(self, query: int, effort: Effort) -> list[str]:
        """Filter inside the search, wider where too few remain, or afterwards; then re-rank."""
        found = self._filtered(query, effort) if self.filters else self._post_filtered(query, effort)
        return self.market.best(query, found)

    def _filtered(self, query: int, effort: Effort) -> NDArray[np.intp]:
        leaves = (None, self.market.leaves[query]) if effort.by_leaf else (None,)
        found: set[int] = set()
        for ratio in RATIOS:
            offers = self.market.offers(query, ratio)
            found = {row for leaf in leaves for row in self.nearest(query, effort.k, offers, leaf)} - {query}
            if len(found) >= SIZE:
                break
        return np.array(sorted(found), dtype=np.intp)

    def _post_filtered(self, query: int, effort: Effort) -> NDArray[np.intp]:
        offers = set(self.market.offers(query, RATIOS[0]))
        nearest = self.nearest(query, effort.k, (), None)
        kept = [row for row in nearest if row != query and self.market.offer(row) in offers]
        return np.array(sorted(kept), dtype=np.intp)


class PostFiltered(Store):
    """A library without filters or files of its own: one search, then the filters in Python."""

    persists = False
    filters = False
    efforts = tuple(effort for effort in EFFORTS if not effort.by_leaf)
