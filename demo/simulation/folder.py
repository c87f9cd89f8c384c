"""A simulated log on disk: its tables, SIMULATED.json that says so, and truth.json."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import orjson

from demo.simulation.expectation import Expectation
from demo.simulation.fault_injection import Done, Mischief, do_mischief, tear
from demo.simulation.log import DayTables, write_day
from demo.simulation.market import Market, simulate
from demo.simulation.rankers import Ranker
from demo.simulation.stock import Stock
from events.log_tables import SIMULATED, replacing
from ml.inference.embed import Embedded, save_embedded

TRUTH: Final = "truth.json"
VECTORS: Final = "vectors"
SENTENCE: Final = (
    "simulated: every user, tap and purchase in this log was drawn by nitamono demo simulate "
    "from chosen parameters; its figures say nothing about real people"
)


class LogExists(FileExistsError):
    """The folder holds something already: two simulations in one log would be one broken experiment."""


@dataclass(frozen=True)
class Account:
    """What was written."""

    events: Mapping[str, int]
    """Rows of each table, doubled ones twice."""
    sold: int
    mischief: Mapping[str, int]
    truth: Mapping[str, Any]
    """As in truth.json."""
    seconds: float


def write_simulation(
    log: Path,
    market: Market,
    *,
    mischief: Mischief | None = None,
    others: Mapping[str, Ranker] | None = None,
    progress: Callable[[int], object] = lambda _: None,
) -> Account:
    """Simulates day by day and writes each before the next, so memory does not grow with the days.

    others: encoders of no arm whose expected CTR truth.json is to tell as well.
    progress: is told the number of slates of each day.

    Raises LogExists where the folder holds anything, OSError.
    """
    begun = perf_counter()
    prepare(log)
    # First, lest what an interrupted simulation leaves be taken for a real log.
    write_json(log / SIMULATED, statement(market))
    arms = zip(market.experiment.arms, market.rankers, strict=True)
    rankers = {arm.name: ranker for arm, ranker in arms} | dict(others or {})
    expectation = Expectation(market, rankers)
    events: Counter[str] = Counter()
    done, asked = Done(), mischief or Mischief()
    for number, (stock, day) in enumerate(simulate(market, expectation.watch)):
        tables = DayTables(market, number, stock, day).tables()
        if asked:
            tables = do_mischief(tables, asked, market, number, done)
        write_day(log, number, tables)
        events.update({name: len(table) for name, table in tables.items()})
        progress(len(day.slates))
        last = stock
    write_vectors(log / VECTORS, rankers, last)
    torn = len(tear(log)) if asked.torn else 0
    truth = expectation.to_json()
    write_json(log / TRUTH, truth)
    spoiled = asdict(done) | {"torn": torn}
    write_json(log / SIMULATED, statement(market) | {"events": events, "mischief": spoiled})
    return Account(events, int(events["purchases"]), spoiled, truth, perf_counter() - begun)


def prepare(log: Path) -> None:
    """Makes the folder. Raises LogExists where it holds anything."""
    if log.is_dir() and any(log.iterdir()):
        raise LogExists(f"{log} is not empty; name a new folder: a log is of one simulation")
    log.mkdir(parents=True, exist_ok=True)


def statement(market: Market) -> dict[str, Any]:
    """What SIMULATED.json says: that it is one, and every parameter."""
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
        "encoders": {
            arm.name: ranker.encoder_id
            for arm, ranker in zip(market.experiment.arms, market.rankers, strict=True)
        },
        "ground_truth": market.truth.to_json(),
    }


def write_vectors(folder: Path, rankers: Mapping[str, Ranker], stock: Stock) -> None:
    """NAME.npy and NAME.ids.txt for each encoder, as `nitamono ml embed` writes them: of all listings.

    With them `nitamono experiment offline` can put the log's slates in the order of any of them.
    """
    rows = stock.base[: len(stock.item_ids)]
    for name, ranker in rankers.items():
        save_embedded(Embedded(ranker.vectors[rows], stock.item_ids), folder / f"{name}.npy")


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """The file, written whole or not at all, in a form that people can read."""
    with replacing(path) as unfinished:
        unfinished.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2) + b"\n")
