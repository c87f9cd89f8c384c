"""Simulated days as the tables of the event log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from demo.simulation.columns import NOTHING, Rows, Seconds
from demo.simulation.market.market import Acts, Market, Slates, Tick
from demo.simulation.market.stock import Stock
from events.log_tables import INSTANT, SHOWN_ITEM, to_log_table, write_part

REASON: Final = "not as pictured"


class DayTables:
    """The tables of one day."""

    def __init__(self, market: Market, number: int, stock: Stock, tick: Tick) -> None:
        self._market, self._stock, self._tick = market, stock, tick
        self._item = pa.array(stock.item_ids)
        self._seller = pa.array(stock.sellers)
        self._user = pa.array(market.buyers.user)
        self._slate_id = _names(f"s{market.seed}-{number}-", np.arange(len(tick.slates)))

    def tables(self) -> dict[str, pa.Table]:
        """Return each table of the log by name, with the columns of TABLES."""
        tick = self._tick
        made = {
            "impressions": self._impressions(tick.slates),
            "taps": self._of(tick.taps, "t", ("query_item_id", "position")),
            "item_views": self._of(tick.views, "v", ()),
            "purchases": self._of(tick.purchases, "p", ("seller_id", "price")),
            "complaints": self._of(tick.complaints, "c", ("reason",)),
        }
        return {name: to_log_table(name, pa.table(columns)) for name, columns in made.items()}

    def _impressions(self, slates: Slates) -> dict[str, Any]:
        market, stock = self._market, self._stock
        experiment = market.experiment
        labels = pa.array([[], *([f"{experiment.name}:{arm.name}"] for arm in experiment.arms)])
        encoders = pa.array([ranker.encoder_id for ranker in market.rankers])
        categories = pa.array([list(path) for path in stock.catalogue.categories])
        return {
            "event_id": _after(self._slate_id, "i"),
            "time": instants(slates.moment),
            "user_id": self._user.take(slates.user),
            "slate_id": self._slate_id,
            "query_item_id": self._item.take(slates.query),
            "query_category": categories.take(stock.kind[slates.query]),
            "query_price": stock.price[slates.query],
            "arms": labels.take(slates.arm + 1),
            "encoder_id": encoders.take(slates.ranker),
            "took_ms": slates.took_ms,
            "randomised": slates.shuffled,
            "override": slates.override,
            "simulated": pa.repeat(True, len(slates)),
            "items": self._shown(slates.items),
        }

    def _shown(self, items: Rows) -> pa.ListArray:
        there = items != NOTHING
        rows = items[there]
        position = np.broadcast_to(np.arange(1, items.shape[1] + 1, dtype=np.int16), items.shape)[there]
        parts = [
            self._item.take(rows),
            pa.array(position),
            self._seller.take(rows),
            pa.array(self._stock.price[rows]),
            instants(self._stock.listed_at[rows]),
        ]
        ends = np.cumsum(there.sum(axis=1))
        offsets = np.concatenate([[0], ends]).astype(np.int32)
        return pa.ListArray.from_arrays(offsets, pa.StructArray.from_arrays(parts, fields=list(SHOWN_ITEM)))

    def _of(self, acts: Acts, letter: str, more: tuple[str, ...]) -> dict[str, Any]:
        """Return the columns of acts, ordered by time. Acts on the query item itself have no slate."""
        acts = acts.take(np.argsort(acts.moment, kind="stable"))
        slates = self._tick.slates
        slate_id = self._slate_id.take(acts.slate)
        own = pa.array(acts.position == 0)
        columns: dict[str, Any] = {
            "event_id": pc.binary_join_element_wise(slate_id, _names(letter, acts.position), "."),
            "time": instants(acts.moment),
            "user_id": self._user.take(slates.user[acts.slate]),
            "slate_id": pc.if_else(own, pa.scalar(None, pa.string()), slate_id),
            "item_id": self._item.take(acts.row),
            "query_item_id": self._item.take(slates.query[acts.slate]),
            "position": acts.position.astype(np.int16),
            "seller_id": self._seller.take(acts.row),
            "price": self._stock.price[acts.row],
            "reason": pa.array([REASON] * len(acts), pa.string()),
        }
        return {name: columns[name] for name in ("event_id", "time", "user_id", "slate_id", "item_id", *more)}


def write_day(log: Path, number: int, tables: dict[str, pa.Table]) -> None:
    """Write the tables of a simulated day, each event into the folder of its date."""
    for name, table in tables.items():
        for date, part in by_date(table):
            write_part(part, log, name, f"date={date}/part-{number:04d}")


def by_date(table: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """Yield the rows of each date (UTC), by date."""
    days = pc.strftime(table["time"], format="%Y-%m-%d")
    for day in sorted(pc.unique(days).to_pylist()):
        yield day, table.filter(pc.equal(days, day))


def instants(moments: Seconds) -> pa.Array:
    """Return timestamps from seconds since 1970 (n,)."""
    return pa.array(np.round(moments * 1e6).astype(np.int64)).cast(INSTANT)


def _names(prefix: str, numbers: NDArray[np.int64]) -> pa.Array:
    return pc.binary_join_element_wise(prefix, pa.array(numbers).cast(pa.string()), "")


def _after(names: pa.Array, letter: str) -> pa.Array:
    return pc.binary_join_element_wise(names, letter, ".")
