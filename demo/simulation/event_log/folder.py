"""A simulated log on disk: its tables, SIMULATED.json with every parameter, and truth.json."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import orjson

from demo.simulation.errors import LogExists
from demo.simulation.event_log.expectation import Expectation
from demo.simulation.event_log.fault_injection import Faults, inject_faults, truncate_files
from demo.simulation.event_log.tables import DayTables, write_day
from demo.simulation.market.market import Market, simulate
from demo.simulation.market.rankers import Ranker
from demo.simulation.market.stock import Stock
from events.log_tables import SIMULATED, replacing
from ml.inference.embed import Embedded, save_embedded

TRUTH: Final = "truth.json"
VECTORS: Final = "vectors"
SENTENCE: Final = (
    "simulated: every user, tap and purchase in this log was drawn by nitamono demo simulate "
    "from chosen parameters; its figures say nothing about real people"
)


@dataclass(frozen=True)
class WrittenLog:
    """Summary of a simulation that was written."""

    events: Mapping[str, int]
    """Rows of each table, duplicates included."""
    faults: Mapping[str, int]
    truth: Mapping[str, Any]
    """As in truth.json."""
    seconds: float


def write_simulation(
    log: Path,
    market: Market,
    *,
    faults: Faults | None = None,
    others: Mapping[str, Ranker] | None = None,
    progress: Callable[[int], object] = lambda _: None,
) -> WrittenLog:
    """Simulate day by day and write each day before the next, so that memory does not grow with the days.

    others: encoders of no arm whose expected CTR truth.json includes as well.
    progress: called with the number of slates of each day.

    Raises LogExists where the folder is not empty, OSError.
    """
    started = perf_counter()
    make_empty_folder(log)
    # Written first, so that an interrupted simulation is not mistaken for a real log.
    write_json(log / SIMULATED, statement(market))
    expectation = Expectation(market, market.rankers_by_arm() | dict(others or {}))
    events: Counter[str] = Counter()
    injected: Counter[str] = Counter()
    for number, (stock, day) in enumerate(simulate(market, expectation.watch)):
        tables = DayTables(market, number, stock, day).tables()
        if faults:
            tables = inject_faults(tables, faults, market, number, injected)
        write_day(log, number, tables)
        events.update({name: len(table) for name, table in tables.items()})
        progress(len(day.slates))
        last = stock
    write_vectors(log / VECTORS, expectation.rankers, last)
    if faults and faults.truncate_files:
        injected["truncated_file"] = truncate_files(log)
    truth = expectation.to_json()
    write_json(log / TRUTH, truth)
    write_json(log / SIMULATED, statement(market) | {"events": events, "injected_faults": injected})
    return WrittenLog(events, injected, truth, perf_counter() - started)


def make_empty_folder(log: Path) -> None:
    """Make the folder. Raises LogExists where it is not empty."""
    if log.is_dir() and any(log.iterdir()):
        raise LogExists(f"{log} is not empty; name a new folder: a log is of one simulation")
    log.mkdir(parents=True, exist_ok=True)


def statement(market: Market) -> dict[str, Any]:
    """Return what SIMULATED.json says: that the log is simulated, and every parameter."""
    return {
        "sentence": SENTENCE,
        "seed": market.seed,
        "users": len(market.buyers),
        "bots": int(market.buyers.bot.sum()),
        "testers": int(market.buyers.tester.sum()),
        "listings": len(market.catalogue),
        "start": market.start.isoformat(),
        "days": market.days,
        "experiment": market.experiment.model_dump(mode="json"),
        "encoders": {arm: ranker.encoder_id for arm, ranker in market.rankers_by_arm().items()},
        "ground_truth": market.truth.to_json(),
    }


def write_vectors(folder: Path, rankers: Mapping[str, Ranker], stock: Stock) -> None:
    """Write NAME.npy and NAME.ids.txt of all listings for each encoder, as `nitamono ml embed` does.

    `nitamono experiment offline` reads them to put the log's slates in the order of each encoder.
    """
    rows = stock.base[: len(stock.item_ids)]
    for name, ranker in rankers.items():
        save_embedded(Embedded(ranker.vectors[rows], stock.item_ids), folder / f"{name}.npy")


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write indented JSON, whole or not at all."""
    with replacing(path) as unfinished:
        unfinished.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2) + b"\n")
