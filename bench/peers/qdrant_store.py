"""Qdrant's local mode: the Python client without a server."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from qdrant_client import QdrantClient, models

from bench.peers.peer import Store


class Qdrant(Store):
    """NumPy over all vectors, filters in Python. Qdrant recommends it for tests and up to 20,000 points."""

    name = "Qdrant (local)"
    persists = False
    filters = True
    note = (
        "The client's local mode, in Python without an index; Qdrant's server was not measured. In memory: "
        "on disk, each point is a transaction of its own (16 ms a listing)."
    )

    def build(self) -> None:
        """Insert in batches of a thousand."""
        warnings.filterwarnings("ignore", "Local mode is not recommended", UserWarning)
        self._client = QdrantClient(":memory:")
        dims = self.market.vectors.shape[1]
        self._client.create_collection(
            "listings", vectors_config=models.VectorParams(size=dims, distance=models.Distance.DOT)
        )
        for start in range(0, self.market.built, 1000):
            rows = range(start, min(start + 1000, self.market.built))
            self._client.upsert("listings", [self._point(row) for row in rows])

    def _point(self, row: int) -> models.PointStruct:
        market = self.market
        payload = {"offer": market.offer(row), "leaf": market.leaves[row]}
        return models.PointStruct(id=row, vector=market.vectors[row].tolist(), payload=payload)

    def nearest(self, query: int, k: int, offers: Sequence[str], leaf: str | None) -> Sequence[int]:
        """Search with both filters inside."""
        wanted: list[models.Condition] = [
            models.FieldCondition(key="offer", match=models.MatchAny(any=list(offers)))
        ]
        if leaf:
            wanted.append(models.FieldCondition(key="leaf", match=models.MatchValue(value=leaf)))
        found = self._client.query_points(
            "listings",
            query=self.market.vectors[query],
            query_filter=models.Filter(must=wanted),
            limit=k,
            with_payload=False,
        )
        return [int(point.id) for point in found.points]

    def write(self, row: int) -> None:
        """Replace one point."""
        self._client.upsert("listings", [self._point(row)])

    def close(self) -> None:
        """Free its memory."""
        self._client.close()
