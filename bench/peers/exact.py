"""Exact search in NumPy over all vectors in memory."""

from __future__ import annotations

from bench.peers.peer import Effort, Peer


class Exact(Peer):
    """The answers that recall is measured against."""

    name = "exact NumPy"
    persists = False
    filters = True
    note = (
        "Compares the item with every listing that passes the filters. All vectors are in memory as float64."
    )
    efforts = (Effort(0, by_leaf=False),)

    def build(self) -> None:
        """Nothing: the market is in memory."""

    def answer(self, query: int, effort: Effort) -> list[str]:  # noqa: ARG002  it has no parameter
        """The exact answer."""
        return self.market.oracle.answer(self.market.oracle.ids[query])

    def write(self, row: int) -> None:
        """Nothing: the market's own columns are searched."""
