"""Faults of real logs, injected into simulated ones in counted quantities."""

from __future__ import annotations

from collections import Counter
from dataclasses import astuple, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from demo.simulation.columns import Rows
from demo.simulation.market.market import Market
from events.log_tables import INSTANT, TABLES

UNKNOWN_ARM: Final = "no-such-arm"
AHEAD: Final = timedelta(days=3650)
"""Ten years: in the future whenever the log is read."""
TRUNCATED: Final = "truncated"


@dataclass(frozen=True, kw_only=True)
class Faults:
    """What to inject; rates are shares of the events or slates that a fault can happen to."""

    duplicate_rate: float = 0.0
    """Events of every kind written twice, with the same event_id."""
    shuffle_rows: bool = False
    """Rows of every file in random order."""
    future_rate: float = 0.0
    """Events whose time is ten years later."""
    wrong_arm_rate: float = 0.0
    """Slates of the experiment with another arm than the user's own."""
    unknown_arm_rate: float = 0.0
    """Slates of the experiment with an arm that it does not define."""
    truncate_files: bool = False
    """A copy of a parquet file of each kind, cut in half."""

    def __bool__(self) -> bool:
        """Return whether there is any."""
        return any(astuple(self))


def inject_faults(
    tables: dict[str, pa.Table], faults: Faults, market: Market, number: int, injected: Counter[str]
) -> dict[str, pa.Table]:
    """Return the tables of day `number` with faults; `injected` counts them."""
    rng = market.rng(3, number)
    faulty = dict(tables)
    faulty["impressions"] = _wrong_arms(tables["impressions"], faults, market, rng, injected)
    for name, table in faulty.items():
        changed = _from_the_future(table, faults.future_rate, rng, injected)
        duplicates = changed.take(_some(len(changed), faults.duplicate_rate, rng))
        injected["duplicate"] += len(duplicates)
        changed = pa.concat_tables([changed, duplicates])
        faulty[name] = changed.take(rng.permutation(len(changed))) if faults.shuffle_rows else changed
    return faulty


def _wrong_arms(
    slates: pa.Table, faults: Faults, market: Market, rng: np.random.Generator, injected: Counter[str]
) -> pa.Table:
    """Return the slates, some with the next arm instead of their own, others with an undefined one."""
    arms = slates["arms"].to_pylist()
    labels = [f"{market.experiment.name}:{arm.name}" for arm in market.experiment.arms]
    own = np.array([bool(names) for names in arms]) & ~np.array(slates["override"])
    draw = np.where(own, rng.random(len(arms)), 1.0)
    wrong, either = faults.wrong_arm_rate, faults.wrong_arm_rate + faults.unknown_arm_rate
    for row in np.flatnonzero(draw < either):
        if draw[row] < wrong:
            arms[row] = [labels[(labels.index(arms[row][0]) + 1) % len(labels)]]
            injected["wrong_arm"] += 1
        else:
            arms[row] = [f"{market.experiment.name}:{UNKNOWN_ARM}"]
            injected["unknown_arm"] += 1
    column = slates.schema.get_field_index("arms")
    return slates.set_column(column, slates.schema.field("arms"), pa.array(arms, pa.list_(pa.string())))


def _from_the_future(
    table: pa.Table, rate: float, rng: np.random.Generator, injected: Counter[str]
) -> pa.Table:
    rows = _some(len(table), rate, rng)
    injected["future"] += len(rows)
    late = np.zeros(len(table), dtype=bool)
    late[rows] = True
    ahead = pa.scalar(AHEAD, pa.duration("us"))
    moved = pc.if_else(pa.array(late), pc.add(table["time"], ahead), table["time"])
    return table.set_column(1, pa.field("time", INSTANT), moved)


def truncate_files(log: Path) -> int:
    """Leave half of the last file of each kind, as a killed writer does; return how many were written."""
    last = [files[-1] for name in TABLES if (files := sorted((log / name).rglob("*.parquet")))]
    for whole in last:
        half = whole.read_bytes()[: whole.stat().st_size // 2]
        whole.with_name(f"{TRUNCATED}.parquet").write_bytes(half)
    return len(last)


def _some(count: int, rate: float, rng: np.random.Generator) -> Rows:
    """Return each of the rows 0 to count - 1 with probability `rate`: (n,) int64."""
    return np.flatnonzero(rng.random(count) < rate)
