"""Milvus Lite: Milvus's interface on a local file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from milvus_lite import server_manager_instance
from pymilvus import DataType, MilvusClient

from bench.peers.peer import GRAPH, Store


class MilvusLite(Store):
    """HNSW by FAISS, behind a gRPC server that the client starts in its own process."""

    name = "Milvus Lite"
    persists = True
    filters = True
    note = "Embedded, in Python. HNSW by FAISS; Milvus's server was not measured."

    def build(self) -> None:
        """Insert in batches, build the index, load it."""
        self._file = str(self.folder / "listings.db")
        self._client = MilvusClient(self._file)
        schema = MilvusClient.create_schema(auto_id=False)
        schema.add_field("row", DataType.INT64, is_primary=True)
        schema.add_field("offer", DataType.VARCHAR, max_length=32)
        schema.add_field("leaf", DataType.VARCHAR, max_length=256)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=self.market.vectors.shape[1])
        self._client.create_collection("listings", schema=schema)
        for start in range(0, self.market.built, 5000):
            self._upsert(range(start, min(start + 5000, self.market.built)))
        graph = {"M": GRAPH["m"], "efConstruction": GRAPH["ef_construction"]}
        index = MilvusClient.prepare_index_params()
        index.add_index("vector", index_type="HNSW", metric_type="IP", params=graph)
        self._client.flush("listings")
        self._client.create_index("listings", index)
        self._client.load_collection("listings")

    def _upsert(self, rows: Sequence[int]) -> None:
        self._client.upsert("listings", [self._record(row) for row in rows])

    def _record(self, row: int) -> dict[str, Any]:
        market = self.market
        vector = market.vectors[row].tolist()
        return {"row": row, "offer": market.offer(row), "leaf": market.leaves[row], "vector": vector}

    def nearest(self, query: int, k: int, offers: Sequence[str], leaf: str | None) -> Sequence[int]:
        """Search with both filters inside."""
        wanted = f"offer in {json.dumps(list(offers))}" + (f' and leaf == "{leaf}"' if leaf else "")
        found = self._client.search(
            "listings",
            [self.market.vectors[query].tolist()],
            filter=wanted,
            limit=k,
            search_params={"metric_type": "IP", "params": {"ef": 2 * k}},
        )
        return [int(hit["row"]) for hit in found[0]]

    def write(self, row: int) -> None:
        """Replace one row."""
        self._upsert([row])

    def close(self) -> None:
        """End its server, which closing the client does not."""
        self._client.close()
        server_manager_instance.release_server(self._file)
