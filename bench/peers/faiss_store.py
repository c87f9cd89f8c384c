"""FAISS: a graph in memory."""

from __future__ import annotations

from collections.abc import Sequence

import faiss

from bench.peers.peer import GRAPH, PostFiltered


class Faiss(PostFiltered):
    """IndexHNSWFlat. It has no fields to filter by, and cannot replace a vector."""

    name = "FAISS HNSW"
    note = "In memory; the filters are applied in Python afterwards. The whole index can be saved to a file."

    def build(self) -> None:
        """Build the graph on all cores. Row i of the index is row i of the market."""
        vectors = self.market.vectors
        self._index = faiss.IndexHNSWFlat(vectors.shape[1], GRAPH["m"], faiss.METRIC_INNER_PRODUCT)
        self._index.hnsw.efConstruction = GRAPH["ef_construction"]
        self._index.add(vectors[: self.market.built])
        self._rows = list(range(self.market.built))
        faiss.write_index(self._index, str(self.folder / "index"))

    def nearest(self, query: int, k: int, offers: Sequence[str], leaf: str | None) -> Sequence[int]:  # noqa: ARG002  see PostFiltered
        """Search without filters."""
        self._index.hnsw.efSearch = 2 * k
        _, found = self._index.search(self.market.vectors[query : query + 1], k)
        return [self._rows[place] for place in found[0] if place >= 0]

    def write(self, row: int) -> None:
        """Add a new listing; prices are in Python."""
        if row not in self._rows[self.market.built :] and row >= self.market.built:
            self._index.add(self.market.vectors[row : row + 1])
            self._rows.append(row)
