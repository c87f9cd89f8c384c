"""Speed of the simulation, and agreement of reports with its ground truth: `python -m bench.simulation`.

Speed: one process, one thread if OMP_NUM_THREADS is 1. The log is written to a temporary folder as
`nitamono demo simulate` writes it; drawing the catalogue is measured separately.

--agreement: `nitamono experiment offline` scores three encoders of no arm on the log of a production
encoder, as logged and weighted, and on the log of the same visits by buyers who look at every position
equally: an unbiased log.

--verdict: `nitamono experiment report` on a simulated A/B test and on an A/A test.
"""

import argparse
import json
import os
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Final

from bench.memory import peak_mib
from demo.simulation.event_log.folder import VECTORS, write_simulation
from demo.simulation.ground_truth import GroundTruth
from demo.simulation.market.rankers import calibrated_ranker, noisy_vectors
from demo.simulation.setup import DEFAULT_EXPERIMENT, Plan, build_market
from experiments.analysis.log.read import open_log
from experiments.analysis.offline.evaluation import METRIC, Task, evaluate
from experiments.analysis.offline.slates import TappedLog
from experiments.analysis.offline.vectors import read_vectors
from experiments.analysis.verdict.evidence import gather
from experiments.analysis.verdict.report import text
from experiments.analysis.verdict.results import ExperimentResults, read

PRODUCTION_NOISE: Final = "0.8"
NOISES: Final = {"noise-1.6": 1.6, "noise-1": 1.0, "noise-0.4": 0.4}


@dataclass(frozen=True)
class Measured:
    """One simulation."""

    impressions: int
    events: int
    """Of all kinds."""
    users: int
    listings: int
    days: int
    threads: str
    setup_seconds: float
    seconds: float
    cpu_seconds: float
    """Of this process only."""
    impressions_per_cpu_s: float
    log_mib: float
    peak_mib: float
    """Resident memory."""


def measure(plan: Plan) -> Measured:
    """Simulate a plan."""
    begun = time.perf_counter()
    market = build_market(plan)
    ready = time.perf_counter()
    cpu = time.process_time()
    with tempfile.TemporaryDirectory() as name:
        written = write_simulation(Path(name) / "log", market)
        took = time.process_time() - cpu
        size = sum(path.stat().st_size for path in Path(name).rglob("*.parquet"))
    return Measured(
        impressions=written.events["impressions"],
        events=sum(written.events.values()),
        users=plan.users,
        listings=plan.count,
        days=market.days,
        threads=os.environ.get("OMP_NUM_THREADS", "all"),
        setup_seconds=round(ready - begun, 1),
        seconds=round(written.seconds, 1),
        cpu_seconds=round(took, 1),
        impressions_per_cpu_s=round(written.events["impressions"] / took),
        log_mib=round(size / 2**20, 1),
        peak_mib=peak_mib(),
    )


@dataclass(frozen=True)
class Agreement:
    """One encoder's nDCG@5 on a log, and its true CTR."""

    encoder: str
    true_ctr: float
    as_logged: float
    weighted: float
    unbiased: float


def agreement(plan: Plan, log: Path) -> list[Agreement]:
    """Scores of the production encoder, then of NOISES, whose rankings are not in the log.

    log: a folder for the logs, which is made.
    """
    fair = replace(
        plan.truth,
        position_bias=0.0,
        least_depth=plan.truth.slate_length,
        mean_depth=plan.truth.slate_length + 1.0,
        freshness=1.0,
        tap_rate=plan.truth.tap_rate / 4,  # for about as many taps
    )
    truth, logged, weighted = _scores(plan, log / "biased")
    _, unbiased, _ = _scores(replace(plan, truth=fair), log / "unbiased")
    return [Agreement(name, truth[name], logged[name], weighted[name], unbiased[name]) for name in logged]


def _scores(plan: Plan, log: Path) -> tuple[dict[str, float], dict[str, float], dict[str, float]]:
    """The true CTR, the nDCG@5 as logged and the weighted one, by encoder."""
    market = build_market(plan)
    others = {
        name: calibrated_ranker(name, noisy_vectors(market.catalogue, noise, plan.seed + number))
        for number, (name, noise) in enumerate(NOISES.items(), 1)
    }
    truth = write_simulation(log, market, others=others).truth["encoders"]
    control = plan.experiment.control.name
    encoders = [read_vectors(name, log / VECTORS / f"{name}.npy") for name in (control, *NOISES)]
    with open_log(log) as opened:
        found, _ = evaluate(TappedLog(opened.workspace()), encoders, Task(), name=log.name, simulated=True)
    logged, weighted = (
        {row.encoder: float(row.means[METRIC]) for row in rows if row.encoder in truth}
        for rows in (found.as_logged, found.weighted)
    )
    return {name: of["ctr"] for name, of in truth.items()}, logged, weighted


def production_plan(users: int, days: int, listings: int) -> Plan:
    """Buyers of one encoder, in an A/A test: a log of production."""
    return Plan(
        truth=GroundTruth(bot_share=0.0, tester_share=0.0),
        experiment=DEFAULT_EXPERIMENT.model_copy(update={"pre_period_days": 0}),
        encoders={"control": PRODUCTION_NOISE, "treatment": PRODUCTION_NOISE},
        users=users,
        days=days,
        count=listings,
    )


def judged(plan: Plan, log: Path) -> ExperimentResults:
    """The report on a simulated experiment. log: a folder that is made."""
    market = build_market(plan)
    write_simulation(log, market)
    last = plan.experiment.start + timedelta(days=plan.days - 1)
    return read(gather(log, plan.experiment, last))


def main() -> None:
    """Print the measurements as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--users", type=int, default=30_000)
    parser.add_argument("--days", type=int, default=14, help="from the start (default: %(default)s)")
    parser.add_argument("--listings", type=int, default=12_000)
    parser.add_argument("--agreement", action="store_true")
    parser.add_argument("--verdict", action="store_true")
    arguments = parser.parse_args()
    if min(arguments.users, arguments.days) < 1 or arguments.listings < 2:
        parser.error("--users and --days must be at least 1, --listings 2")
    plan = Plan(users=arguments.users, days=arguments.days, count=arguments.listings)
    with tempfile.TemporaryDirectory() as name:
        if arguments.agreement:
            production = production_plan(arguments.users, arguments.days, arguments.listings)
            print(json.dumps([asdict(row) for row in agreement(production, Path(name))], indent=2))
        elif arguments.verdict:
            alike = replace(plan, encoders={"control": "0.8", "treatment": "0.8"})
            for title, each in (("A/B", plan), ("A/A", alike)):
                print(f"{title}\n{text(judged(each, Path(name) / title[-1]))}\n")
        else:
            print(json.dumps(asdict(measure(plan)), indent=2))


if __name__ == "__main__":
    main()
