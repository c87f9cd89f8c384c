"""LanceDB, embedded."""

from __future__ import annotations

from collections.abc import Sequence

import lancedb
import pyarrow as pa
from lancedb.index import Bitmap, BTree, IvfHnswSq

from bench.peers.peer import GRAPH, Store


class LanceDB(Store):
    """IVF_HNSW_SQ with a bitmap index on each filter, re-scored from the vectors themselves."""

    name = "LanceDB"
    persists = True
    filters = True
    note = "Embedded. IVF_HNSW_SQ, prefilter, re-scored from full vectors; bitmap indices on the filters."

    def build(self) -> None:
        """Write the table, then its indices."""
        self._table = lancedb.connect(self.folder).create_table(
            "listings", self._records(range(self.market.built))
        )
        if self.market.built >= 256:  # fewer are searched without an index
            graph = IvfHnswSq(distance_type="dot", num_partitions=1, **GRAPH)
            self._table.create_index("vector", config=graph)
        for column in ("offer", "leaf"):
            self._table.create_index(column, config=Bitmap())
        self._table.create_index("row", config=BTree())

    def _records(self, rows: Sequence[int]) -> pa.Table:
        market = self.market
        dims = market.vectors.shape[1]
        vectors = pa.FixedSizeListArray.from_arrays(market.vectors[list(rows)].ravel(), dims)
        columns = {
            "row": pa.array(rows, pa.int64()),
            "offer": [market.offer(row) for row in rows],
            "leaf": [market.leaves[row] for row in rows],
            "vector": vectors,
        }
        return pa.table(columns)

    def nearest(self, query: int, k: int, offers: Sequence[str], leaf: str | None) -> Sequence[int]:
        """Search with both filters inside."""
        quoted = ", ".join(f"'{offer}'" for offer in offers)
        where = f"offer IN ({quoted})" + (f" AND leaf = '{leaf}'" if leaf else "")
        search = self._table.search(self.market.vectors[query]).distance_type("dot")
        search = search.where(where, prefilter=True).limit(k).ef(2 * k).refine_factor(1)
        rows: list[int] = search.select(["row", "_distance"]).to_arrow()["row"].to_pylist()
        return rows

    def write(self, row: int) -> None:
        """Update the offer of a listing, or append a new one."""
        if row < self.market.built:
            self._table.update(where=f"row = {row}", values={"offer": self.market.offer(row)})
        else:
            self._table.add(self._records([row]))
