"""`nitamono demo simulate`: buyers and sellers of a stated ground truth, and the log that they leave."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, cast

import click
from tqdm import tqdm

from console.number_types import Number, WholeNumber
from demo.local_services.arms import arm_encoders
from demo.local_services.errors import ServiceError
from demo.local_services.settings import ServiceSettings
from demo.marketplace.folder import LISTINGS
from demo.marketplace.random_source import UnusableSeed
from demo.simulation.api import Api, ApiUnusable
from demo.simulation.catalogue import NothingOnSale
from demo.simulation.fault_injection import Mischief
from demo.simulation.folder import Account, LogExists, write_json, write_simulation
from demo.simulation.ground_truth import GroundTruth, ImpossibleTruth
from demo.simulation.live import LiveAccount, LivePlan, live_statement, simulate_live
from demo.simulation.setup import DEFAULT_EXPERIMENT, PhotosUnknown, Plan, UnknownArm, market_of
from events.log_tables import SIMULATED
from experiments.assignment.definition import experiments_folder, read_experiment
from experiments.errors import ExperimentError
from indexer.cli import Connections
from indexer.errors import UnreadableFile
from indexer.intake.submission import QueueUnavailable
from indexer.settings import IndexerSettings
from mappings.errors import ContractError, InvalidSetting
from ml.errors import MlError

SHARE = Number(0, 1)
SENTENCES: Final = (
    ApiUnusable,
    ContractError,
    ExperimentError,
    ImpossibleTruth,
    LogExists,
    MlError,
    NothingOnSale,
    OSError,
    PhotosUnknown,
    QueueUnavailable,
    ServiceError,
    UnknownArm,
    UnreadableFile,
    UnusableSeed,
)
"""Errors whose message says all that a person needs."""


def pairs(_context: click.Context, _option: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    """NAME=VALUE each, as a mapping."""
    split = {value: value.partition("=") for value in values}
    for value, (name, _, text) in split.items():
        if not (name and text):
            raise click.BadParameter(f"{value!r} found, expected NAME=VALUE")
    return {name: text for name, _, text in split.values()}


@click.command()
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder of the log.")
@click.option(
    "--api",
    metavar="URL",
    help="Instead of writing a log: ask this API for slates, and send it the events. OUT, if given, is where "
    "they will be exported, and gets the SIMULATED.json that reports look for.",
)
@click.option("--users", type=WholeNumber(1, 5_000_000), default=2000, show_default=True)
@click.option(
    "--days", type=WholeNumber(1, 366), default=14, show_default=True, help="From the experiment's start."
)
@click.option(
    "--pre-days",
    type=WholeNumber(0, 90),
    help="Before it.",
    show_default="the experiment's pre_period_days",
)
@click.option(
    "--seed", type=WholeNumber(0), default=7, show_default=True, help="The same seed gives the same log."
)
@click.option(
    "--experiment",
    "definition",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The experiment that runs.",
    show_default="one of two arms, control and treatment",
)
@click.option(
    "--encoder",
    "encoders",
    callback=pairs,
    multiple=True,
    metavar="ARM=NOISE",
    help="An arm's encoder: the true vectors with noise of this length, or the folder of an artifact.",
    show_default="1.2 for the control, 0.6 for the others",
)
@click.option(
    "--listings",
    type=click.Path(exists=True, path_type=Path),
    help="Listings of your own; with --api, those that it has indexed.",
    show_default="drawn ones; with --api, those of make demo",
)
@click.option("--count", type=WholeNumber(2, 1_000_000), default=6000, show_default=True, help="Listings.")
@click.option(
    "--truth",
    "changes",
    callback=pairs,
    multiple=True,
    metavar="NAME=VALUE",
    help="A parameter of the ground truth, such as tap_lift=1.5 or single_unit=false.",
)
@click.option("--doubled", type=SHARE, default=0.0, help="Mischief: events that come twice.")
@click.option("--disordered", is_flag=True, help="Mischief: rows in no order.")
@click.option("--future", type=SHARE, default=0.0, help="Mischief: events from ten years ahead.")
@click.option("--two-arms", type=SHARE, default=0.0, help="Mischief: slates that tell another arm.")
@click.option(
    "--unknown-arm", type=SHARE, default=0.0, help="Mischief: slates that tell an arm nobody knows."
)
@click.option("--torn", is_flag=True, help="Mischief: a file of each kind that ends half-way.")
def simulate(
    *,
    out: Path | None,
    api: str | None,
    users: int,
    days: int,
    pre_days: int | None,
    seed: int,
    definition: Path | None,
    encoders: dict[str, str],
    listings: Path | None,
    count: int,
    changes: dict[str, str],
    **spoiling: Any,
) -> None:
    """Simulate buyers and sellers: the event log of an A/B test whose truth is known.

    OUT gets the parquet tables, SIMULATED.json with every parameter, truth.json with the CTR and CVR that
    each arm would have with endless users, and the vectors of each arm's encoder. With --api the arms are
    those of the API, buyers come over the last DAYS days, and what they buy is taken off sale.
    """
    if out is None and api is None:
        raise click.UsageError("name a folder with --out, or an API with --api")
    if api is not None and (definition or encoders or pre_days is not None or any(spoiling.values())):
        raise click.UsageError(
            "--experiment, --encoder, --pre-days and mischief shape a log; with --api, arms are the API's own"
        )
    try:
        truth = GroundTruth.of(changes)
        if api is not None:
            file = listings or demo_listings(os.environ)
            live = LivePlan(listings=file, truth=truth, users=users, days=days, count=count, seed=seed)
            lines = through_api(live, api.rstrip("/"), out)
        else:
            plan = Plan(
                truth=truth,
                experiment=read_experiment(definition) if definition else DEFAULT_EXPERIMENT,
                encoders=encoders,
                users=users,
                days=days,
                pre_days=pre_days,
                count=count,
                listings=listings,
                seed=seed,
            )
            lines = into_folder(plan, cast(Path, out), Mischief(**spoiling))
    except SENTENCES as error:
        raise click.ClickException(str(error)) from error
    click.echo("\n".join(lines))


def into_folder(plan: Plan, out: Path, mischief: Mischief) -> list[str]:
    """Writes the log; the lines of its account."""
    market = market_of(plan)
    with tqdm(unit=" slates", desc="simulated", delay=2, disable=None) as bar:
        return as_lines(out, write_simulation(out, market, mischief=mischief, progress=bar.update))


def through_api(plan: LivePlan, url: str, log: Path | None) -> list[str]:
    """Sends visits to the API and what is sold to the indexers; the lines of the account."""
    submissions = [connections.submission(wait=False) for connections in indexers(os.environ)]

    def sell(events: list[dict[str, Any]]) -> None:
        for submission in submissions:
            submission.send(events)

    with Api(url) as api, tqdm(unit=" visits", desc="simulated", delay=2, disable=None) as bar:

        def progress(visits: int) -> None:
            bar.update(visits)
            mark(plan, log)

        account = simulate_live(plan, api, sell, now=datetime.now(UTC), progress=progress)
    return as_live_lines(url, account)


def indexers(environ: Mapping[str, str]) -> list[Connections]:
    """The deployment's own indexer, and that of each encoder that an experiment's arm reads.

    Raises:
        InvalidDefinition, NoSuchEncoder
    """
    try:
        arms = arm_encoders(experiments_folder(environ))
    except InvalidSetting:  # no experiment runs
        arms = ()
    environments = [environ, *(arm.environment(environ) for arm in arms)]
    return [Connections(IndexerSettings.from_environ(each)) for each in environments]


def mark(plan: LivePlan, log: Path | None) -> None:
    """Says in the folder of a log that its events are simulated, once there are any."""
    if log is not None and not (log / SIMULATED).exists():
        log.mkdir(parents=True, exist_ok=True)
        write_json(log / SIMULATED, live_statement(plan))


def demo_listings(environ: Mapping[str, str]) -> Path:
    """Those that `nitamono demo run` has indexed. Raises NothingOnSale where it has not run."""
    file = ServiceSettings.from_environ(environ).state / "marketplace" / LISTINGS
    if not file.exists():
        raise NothingOnSale(f"{file}: not found; run `make demo` first, or name the indexed --listings")
    return file


def as_live_lines(url: str, account: LiveAccount) -> list[str]:
    """What was simulated, as a person reads it."""
    sent = ", ".join(f"{count:,} {kind.replace('_', ' ')}s" for kind, count in account.sent.items())
    rejected = {reason: count for reason, count in account.settled.items() if reason != "accepted"}
    lines = [
        f"{url}: {account.visits:,} simulated visits in {account.seconds:.1f} s: {sent or 'no events'}",
        f"  accepted {account.settled['accepted']:,}, rejected {sum(rejected.values()):,}"
        + "".join(f"; {count:,} {reason}" for reason, count in rejected.items()),
        f"  sold: {account.sold:,} listings, told to the indexer",
    ]
    for arms, count in sorted(account.slates.items()):
        lines.append(f"  {arms or 'in no experiment'}: {count:,} slates")
    for status, count in sorted(account.unanswered.items()):
        lines.append(f"  without an answer: {count:,} visits (HTTP {status})")
    return lines


def as_lines(out: Path, account: Account) -> list[str]:
    """What was simulated, as a person reads it."""
    events = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in account.events.items())
    lines = [f"{out}: simulated {events} in {account.seconds:.1f} s ({SIMULATED} has every parameter)"]
    for name, of in account.truth["arms"].items():
        lines.append(
            f"  {name}: expected CTR {of['ctr']:.4f} ({of['ctr_lift']:+.1%}), "
            f"purchases per tap {of['cvr_clicks']:.4f}"
        )
    spoiled = {name: count for name, count in account.mischief.items() if count}
    if spoiled:
        lines.append("  mischief: " + ", ".join(f"{count:,} {name}" for name, count in spoiled.items()))
    return lines
