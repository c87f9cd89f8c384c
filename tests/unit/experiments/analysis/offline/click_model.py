"""A small click model: buyers who want what is alike, and look at positions with known chances."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from events.log_tables import SHOWN_ITEM, to_log_table, write_part
from experiments.analysis.log.read import open_log
from experiments.analysis.offline.slates import TappedLog
from ml.inference.embed import ids_path

QUERIES, CANDIDATES, AVAILABLE, SHOWN = 150, 30, 18, 10
ENCODERS = {"good": 0.15, "fair": 0.45, "poor": 0.9}
"""Name to the noise added to what buyers see. The poor one made the production order."""


@dataclass(frozen=True)
class Shop:
    """Items with their looks: q queries of c candidates each, and what encoders make of them."""

    ids: list[str]
    """The queries', then the candidates', a query's after another's."""
    looks: dict[str, NDArray[np.float32]]
    """(items, 16) by encoder."""
    wanted: NDArray[np.float64]
    """(q, c) the chance that a buyer taps a candidate once looked at."""

    def cosines(self, encoder: str) -> NDArray[np.float64]:
        looks = self.looks[encoder]
        return np.einsum("qd,qcd->qc", looks[:QUERIES], looks[QUERIES:].reshape(QUERIES, CANDIDATES, -1))


@dataclass(frozen=True)
class Buyers:
    """How a log comes about."""

    slates: int = 40_000
    users: int = 2_000
    eta: float = 1.0
    """Position k is looked at with the chance k ** -eta."""
    shuffled: float = 0.05
    seed: int = 1


def unit(vectors: NDArray[np.float64]) -> NDArray[np.float32]:
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def make_shop(seed: int = 0) -> Shop:
    random = np.random.default_rng(seed)
    queries = random.standard_normal((QUERIES, 16))
    candidates = 0.5 * queries[:, None] + random.standard_normal((QUERIES, CANDIDATES, 16))
    seen = unit(np.concatenate([queries, candidates.reshape(-1, 16)]))
    looks = {
        name: unit(seen + noise * random.standard_normal(seen.shape) / 4) for name, noise in ENCODERS.items()
    }
    ids = [f"q{n}" for n in range(QUERIES)] + [f"c{n}" for n in range(QUERIES * CANDIDATES)]
    shop = Shop(ids, looks, queries)
    likeness = replace(shop, looks={"seen": seen}).cosines("seen")
    return replace(shop, wanted=0.12 / (1 + np.exp(-10 * (likeness - 0.6))))


def simulate(shop: Shop, buyers: Buyers, log: Path) -> Path:
    """The log of buyers in a shop; whichever candidates are in stock come in the poor encoder's order."""
    random = np.random.default_rng(buyers.seed)
    count = buyers.slates
    query = random.integers(0, QUERIES, count)
    stock = random.random((count, CANDIDATES)).argsort(axis=1) < AVAILABLE
    merit = np.where(stock, shop.cosines("poor")[query], -np.inf)
    shown = (-merit).argsort(axis=1)[:, :SHOWN]
    randomised = random.random(count) < buyers.shuffled
    mixed = random.permuted(shown, axis=1)
    shown = np.where(randomised[:, None], mixed, shown)
    user = (buyers.users * random.random(count) ** 2).astype(
        np.int64
    )  # some come much more often than others
    keenness = random.gamma(4, 1 / 4, buyers.users)[user][:, None]
    looked = np.arange(1, SHOWN + 1) ** -buyers.eta
    chance = np.minimum(np.take_along_axis(shop.wanted[query], shown, axis=1) * keenness, 1) * looked
    tapped = random.random((count, SHOWN)) < chance
    items = np.array(shop.ids)[QUERIES + query[:, None] * CANDIDATES + shown]
    write_log(log, shop, query, items, tapped, user, randomised)
    return log


def write_log(
    log: Path,
    shop: Shop,
    query: NDArray[np.int64],
    items: NDArray[np.str_],
    tapped: NDArray[np.bool_],
    user: NDArray[np.int64],
    randomised: NDArray[np.bool_],
) -> None:
    count = len(query)
    slate = np.char.add("s", np.arange(count).astype(np.str_))
    users = np.char.add("u", user.astype(np.str_))
    times = np.datetime64("2026-11-02", "us") + (np.arange(count) * 30_000_000).astype("timedelta64[us]")
    cells = items.size
    listed = pa.StructArray.from_arrays(
        [
            pa.array(items.ravel()),
            pa.array(np.tile(np.arange(1, items.shape[1] + 1, dtype=np.int16), count)),
            pa.nulls(cells, pa.string()),
            pa.nulls(cells, pa.float64()),
            pa.nulls(cells, SHOWN_ITEM.field("created_at").type),
        ],
        fields=list(SHOWN_ITEM),
    )
    instants = pa.array(times, pa.timestamp("us")).cast(pa.timestamp("us", tz="UTC"))
    impressions = {
        "event_id": slate,
        "time": instants,
        "user_id": users,
        "slate_id": slate,
        "query_item_id": np.array(shop.ids)[query],
        "query_category": [["Apparel", f"Kind {n % 3}"] for n in query.tolist()],
        "query_price": 500.0 * (1 + query % 40),
        "arms": [[]] * count,
        "encoder_id": ["poor"] * count,
        "took_ms": np.full(count, 5.0),
        "randomised": randomised,
        "override": np.zeros(count, dtype=bool),
        "simulated": np.ones(count, dtype=bool),
        "items": pa.ListArray.from_arrays(np.arange(count + 1, dtype=np.int32) * items.shape[1], listed),
    }
    write_part(table("impressions", impressions), log, "impressions", "part-0")
    row, place = np.nonzero(tapped)
    taps = {
        "event_id": np.char.add("t", np.arange(len(row)).astype(np.str_)),
        "time": pa.array(times[row] + np.timedelta64(5_000_000, "us")).cast(pa.timestamp("us", tz="UTC")),
        "user_id": users[row],
        "slate_id": slate[row],
        "item_id": items[row, place],
        "query_item_id": np.array(shop.ids)[query[row]],
        "position": place + 1,
    }
    write_part(table("taps", taps), log, "taps", "part-0")


def table(name: str, columns: dict[str, object]) -> pa.Table:
    """Return the columns as a table of the log."""
    return to_log_table(name, pa.table(columns))


def write_vectors(shop: Shop, folder: Path) -> dict[str, Path]:
    """NAME.npy and NAME.ids.txt of every encoder, as `nitamono ml embed` writes them."""
    folder.mkdir(exist_ok=True)
    paths = {name: folder / f"{name}.npy" for name in shop.looks}
    for name, path in paths.items():
        np.save(path, shop.looks[name])
        ids_path(path).write_text("".join(f"{item_id}\n" for item_id in shop.ids))
    return paths


@contextmanager
def opened(log: Path) -> Iterator[TappedLog]:
    with open_log(log, threads=1) as events:
        yield TappedLog(events.workspace())
