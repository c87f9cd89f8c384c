"""What goes wrong with real logs, put into simulated ones in counted quantities."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import timedelta
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from demo.simulation.market import Market
from events.log_tables import INSTANT, TABLES

UNKNOWN_ARM: Final = "no-such-arm"
AHEAD: Final = timedelta(days=3650)
"""Ten years: from the future whenever the log is read."""
TORN: Final = "torn"


@dataclass(frozen=True, kw_only=True)
class Mischief:
    """How much of it; shares are of the events or slates that it can happen to."""

    doubled: float = 0.0
    """Events of every kind that come twice, with the same event_id."""
    disordered: bool = False
    """Rows of every file in an order of chance."""
    future: float = 0.0
    """Events whose time is ten years later."""
    two_arms: float = 0.0
    """Slates of the experiment that tell another arm than the user's own."""
    unknown_arm: float = 0.0
    """Slates of the experiment that tell an arm that it does not have."""
    torn: bool = False
    """A parquet file of each kind that ends half-way."""

    def __bool__(self) -> bool:
        """Whether there is any."""
        return any(getattr(self, field.name) for field in fields(self))


@dataclass
class Done:
    """How many rows each mischief touched."""

    doubled: int = 0
    future: int = 0
    two_arms: int = 0
    unknown_arm: int = 0


def do_mischief(
    tables: dict[str, pa.Table], mischief: Mischief, market: Market, number: int, done: Done
) -> dict[str, pa.Table]:
    """The tables of a day with some of it; `done` is added to."""
    chance = market.chance(3, number)
    spoiled = dict(tables)
    spoiled["impressions"] = _wrong_arms(tables["impressions"], mischief, market, chance, done)
    for name, table in spoiled.items():
        changed = _from_the_future(table, mischief.future, chance, done)
        again = changed.take(_some(len(changed), mischief.doubled, chance))
        done.doubled += len(again)
        changed = pa.concat_tables([changed, again])
        spoiled[name] = changed.take(chance.permutation(len(changed))) if mischief.disordered else changed
    return spoiled


def _wrong_arms(
    slates: pa.Table, mischief: Mischief, market: Market, chance: np.random.Generator, done: Done
) -> pa.Table:
    """The slates, some with the next arm in place of their own, others with one that nobody defined."""
    arms = slates["arms"].to_pylist()
    told = np.array([bool(names) for names in arms]) & ~np.array(slates["override"])
    draw = np.where(told, chance.random(len(arms)), 1.0)
    name = market.experiment.name
    labels = [f"{name}:{arm.name}" for arm in market.experiment.arms]
    for row in np.flatnonzero(draw < mischief.two_arms):
        arms[row] = [labels[(labels.index(arms[row][0]) + 1) % len(labels)]]
        done.two_arms += 1
    unknown = (draw >= mischief.two_arms) & (draw < mischief.two_arms + mischief.unknown_arm)
    for row in np.flatnonzero(unknown):
        arms[row] = [f"{name}:{UNKNOWN_ARM}"]
        done.unknown_arm += 1
    column = slates.schema.get_field_index("arms")
    return slates.set_column(column, slates.schema.field("arms"), pa.array(arms, pa.list_(pa.string())))


def _from_the_future(table: pa.Table, share: float, chance: np.random.Generator, done: Done) -> pa.Table:
    rows = _some(len(table), share, chance)
    done.future += len(rows)
    late = np.zeros(len(table), dtype=bool)
    late[rows] = True
    ahead = pa.scalar(AHEAD, pa.duration("us"))
    moved = pc.if_else(pa.array(late), pc.add(table["time"], ahead), table["time"])
    return table.set_column(1, pa.field("time", INSTANT), moved)


def tear(log: Path) -> list[Path]:
    """A copy of the last file of each kind, cut in half, as a writer leaves that is killed."""
    return list(_torn(log))


def _torn(log: Path) -> Iterator[Path]:
    for files in (sorted((log / name).rglob("*.parquet")) for name in TABLES):
        if not files:
            continue
        whole = files[-1]
        torn = whole.with_name(f"{TORN}.parquet")
        torn.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
        yield torn


def _some(
    count: int, share: float, chance: np.random.Generator
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.flatnonzero(chance.random(count) < share)
