"""Chroma, embedded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import chromadb
from chromadb.config import Settings

from bench.peers.peer import GRAPH, Store


class Chroma(Store):
    """HNSW in memory beside SQLite; a filter is answered by SQLite first, as a list of allowed ids."""

    name = "Chroma"
    persists = True
    filters = True
    note = "Embedded. HNSW; filters are metadata in SQLite."

    def build(self) -> None:
        """Insert in batches as large as it takes."""
        settings = Settings(anonymized_telemetry=False)
        client = chromadb.PersistentClient(str(self.folder), settings)
        graph = {"space": "ip", "max_neighbors": GRAPH["m"], "ef_construction": GRAPH["ef_construction"]}
        self._listings = client.create_collection(
            "listings", configuration={"hnsw": graph}, embedding_function=None
        )
        self._ef = 0
        batch = client.get_max_batch_size()
        for start in range(0, self.market.built, batch):
            self._upsert(range(start, min(start + batch, self.market.built)))

    def _upsert(self, rows: Sequence[int]) -> None:
        market = self.market
        self._listings.upsert(
            [str(row) for row in rows],
            embeddings=market.vectors[list(rows)],
            metadatas=[{"offer": market.offer(row), "leaf": market.leaves[row]} for row in rows],
        )

    def nearest(self, query: int, k: int, offers: Sequence[str], leaf: str | None) -> Sequence[int]:
        """Search with both filters inside."""
        if self._ef != 2 * k:
            self._ef = 2 * k
            self._listings.modify(configuration={"hnsw": {"ef_search": self._ef}})
        where: dict[str, Any] = {"offer": {"$in": list(offers)}}
        if leaf:
            where = {"$and": [where, {"leaf": leaf}]}
        vector = self.market.vectors[query : query + 1]
        found = self._listings.query(query_embeddings=vector, n_results=k, where=where, include=[])
        return [int(name) for name in found["ids"][0]]

    def write(self, row: int) -> None:
        """Update the offer of a listing, or add a new one."""
        if row < self.market.built:
            metadata = {"offer": self.market.offer(row), "leaf": self.market.leaves[row]}
            self._listings.update(str(row), metadatas=metadata)
        else:
            self._upsert([row])
