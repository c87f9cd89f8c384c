"""sqlite-vec: a virtual table of SQLite, searched exactly."""

from __future__ import annotations

from collections.abc import Sequence

import apsw
import sqlite_vec

from bench.peers.peer import EFFORTS, Store


class SqliteVec(Store):
    """`vec0` with metadata columns."""

    name = "sqlite-vec"
    persists = True
    filters = True
    note = "Compares the item with every vector that passes the filters; it has no index."
    efforts = tuple(effort for effort in EFFORTS if not effort.by_leaf)

    def build(self) -> None:
        """Insert all in one transaction."""
        # Not sqlite3: many builds of Python leave out the loading of extensions.
        self._db = apsw.Connection(str(self.folder / "listings.db"))
        self._db.enable_load_extension(True)
        self._db.load_extension(sqlite_vec.loadable_path())
        dims = self.market.vectors.shape[1]
        self._db.execute(
            "create virtual table listings using vec0(row integer primary key, offer text, leaf text, "
            f"vector float[{dims}] distance_metric=cosine)"
        )
        with self._db:
            self._db.executemany(_INSERT, map(self._record, range(self.market.built)))

    def _record(self, row: int) -> tuple[int, str, str, bytes]:
        market = self.market
        return row, market.offer(row), market.leaves[row], market.vectors[row].tobytes()

    def nearest(self, query: int, k: int, offers: Sequence[str], leaf: str | None) -> Sequence[int]:
        """Search with both filters inside."""
        wanted = f"offer in ({', '.join('?' * len(offers))})" + (" and leaf = ?" if leaf else "")
        values = [self.market.vectors[query].tobytes(), k, *offers, *([leaf] if leaf else [])]
        sql = f"select row from listings where vector match ? and k = ? and {wanted}"  # noqa: S608  placeholders alone
        return [row for (row,) in self._db.execute(sql, values)]

    def write(self, row: int) -> None:
        """Replace one row."""
        with self._db:
            self._db.execute("delete from listings where row = ?", [row])
            self._db.execute(_INSERT, self._record(row))

    def close(self) -> None:
        """Close the file."""
        self._db.close()


_INSERT = "insert into listings(row, offer, leaf, vector) values (?, ?, ?, ?)"
