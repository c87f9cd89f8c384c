"""hnswlib: a graph in memory."""

from __future__ import annotations

from collections.abc import Sequence

import hnswlib
import numpy as np

from bench.peers.peer import GRAPH, PostFiltered


class Hnswlib(PostFiltered):
    """HNSW over floats. Its own filter is a Python function called for each vector, so filters come after."""

    name = "hnswlib"
    note = "In memory; the filters are applied in Python afterwards. The whole graph can be saved to a file."

    def build(self) -> None:
        """Build the graph on all cores, with room for the listings held back."""
        vectors, built = self.market.vectors, self.market.built
        self._graph = hnswlib.Index(space="ip", dim=vectors.shape[1])
        self._graph.init_index(len(vectors), M=GRAPH["m"], ef_construction=GRAPH["ef_construction"])
        self._graph.add_items(vectors[:built], np.arange(built))
        self._graph.save_index(str(self.folder / "graph"))

    def nearest(self, query: int, k: int, offers: Sequence[str], leaf: str | None) -> Sequence[int]:  # noqa: ARG002  see PostFiltered
        """Search without filters."""
        k = min(k, self.market.built)
        self._graph.set_ef(2 * k)
        rows: list[int] = self._graph.knn_query(self.market.vectors[query], k, num_threads=1)[0][0].tolist()
        return rows

    def write(self, row: int) -> None:
        """Add a new listing; prices are in Python."""
        self._graph.add_items(self.market.vectors[row : row + 1], np.array([row]))
