"""`nitamono demo simulate`: buyers and sellers of a known ground truth, and their event log."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import click
from tqdm import tqdm

from console.number_types import Number, WholeNumber
from demo.local_services.arm_encoders import arm_encoders
from demo.local_services.settings import ServiceSettings
from demo.local_services.state import StateFolder
from demo.marketplace.folder import LISTINGS
from demo.marketplace.random_source import SEED
from demo.simulation.errors import NothingOnSale
from demo.simulation.event_log.fault_injection import Faults
from demo.simulation.event_log.folder import WrittenLog, write_json, write_simulation
from demo.simulation.ground_truth import GroundTruth
from demo.simulation.setup import DEFAULT_EXPERIMENT, Plan, build_market
from demo.simulation.through_api.client import Api
from demo.simulation.through_api.live import LiveSummary, live_statement, simulate_live
from events.log_tables import SIMULATED
from experiments.assignment.definition import experiments_folder, read_experiment
from indexer.commands.connections import Connections
from indexer.intake.submission import QueueUnavailable
from indexer.settings import IndexerSettings
from settings.errors import InvalidSetting

RATE = Number(0, 1)


def pairs(_context: click.Context, _option: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    """Return NAME=VALUE options as a mapping."""
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
    help="Request slates from this API and send it the events, instead of writing a log. OUT, if given, is "
    "the folder that they will be exported to; it gets the SIMULATED.json that reports look for.",
)
@click.option(
    "--users", type=WholeNumber(1, 5_000_000), default=2000, show_default=True, help="Number of buyers."
)
@click.option(
    "--days",
    type=WholeNumber(1, 366),
    default=14,
    show_default=True,
    help="Days from the experiment's start; with --api, the last days.",
)
@click.option(
    "--pre-days",
    type=WholeNumber(0, 90),
    help="Days before the start.",
    show_default="the experiment's pre_period_days",
)
@click.option("--seed", type=SEED, default=7, show_default=True, help="The same seed gives the same log.")
@click.option(
    "--experiment",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Definition of the experiment.",
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
    help="A file or folder of listings; with --api, those that are indexed.",
    show_default="drawn listings; with --api, those of make demo",
)
@click.option(
    "--count", type=WholeNumber(2, 1_000_000), default=6000, show_default=True, help="Number of listings."
)
@click.option(
    "--truth",
    "changes",
    callback=pairs,
    multiple=True,
    metavar="NAME=VALUE",
    help="A parameter of the ground truth, such as tap_lift=1.5 or single_unit=false.",
)
@click.option("--duplicate-rate", type=RATE, default=0.0, help="Fault: share of events written twice.")
@click.option("--shuffle-rows", is_flag=True, help="Fault: rows in random order.")
@click.option("--future-rate", type=RATE, default=0.0, help="Fault: share of events ten years in the future.")
@click.option("--wrong-arm-rate", type=RATE, default=0.0, help="Fault: share of slates with another arm.")
@click.option(
    "--unknown-arm-rate", type=RATE, default=0.0, help="Fault: share of slates with an undefined arm."
)
@click.option("--truncate-files", is_flag=True, help="Fault: a truncated file of each kind.")
def simulate(*, out: Path | None, api: str | None, changes: dict[str, str], **options: Any) -> None:
    """Simulate buyers and sellers: the event log of an A/B test whose true effect is known.

    OUT gets the parquet tables, SIMULATED.json with every parameter, truth.json with the CTR and CVR that
    each arm would have with infinitely many users, and the vectors of each arm's encoder. With --api the arms
    are those of the API, the visits are spread over the last DAYS days, and what is bought is taken off sale.
    """
    if out is None and api is None:
        raise click.UsageError("name a folder with --out, or an API with --api")
    faults = {field.name: options.pop(field.name) for field in fields(Faults)}
    log_only = {name: options.pop(name) for name in ("experiment", "encoders", "pre_days")}
    if api is not None and (any((*faults.values(), *log_only.values())) or log_only["pre_days"] == 0):
        raise click.UsageError(
            "--experiment, --encoder, --pre-days and faults cannot be used with --api: the arms are the API's"
        )
    try:
        options["truth"] = GroundTruth.of(changes)
        if api is not None:
            listings = options.pop("listings") or demo_listings(os.environ)
            lines = through_api(Plan(**options), listings, api.rstrip("/"), out)
        else:
            definition = log_only.pop("experiment")
            experiment = read_experiment(definition) if definition else DEFAULT_EXPERIMENT
            plan = Plan(experiment=experiment, **log_only, **options)
            lines = into_folder(plan, cast(Path, out), Faults(**faults))
    except (OSError, QueueUnavailable) as error:
        raise click.ClickException(str(error)) from error
    click.echo("\n".join(lines))


def into_folder(plan: Plan, out: Path, faults: Faults) -> list[str]:
    """Write the log; return the lines of its summary."""
    market = build_market(plan)
    with tqdm(unit=" slates", desc="simulated", delay=2, disable=None) as bar:
        return as_lines(out, write_simulation(out, market, faults=faults, progress=bar.update))


def through_api(plan: Plan, listings: Path, url: str, log: Path | None) -> list[str]:
    """Send visits to the API and what is sold to the indexers; return the lines of the summary."""
    submissions = [connections.submission(wait=False) for connections in indexers(os.environ)]

    def sell(events: list[dict[str, Any]]) -> None:
        for submission in submissions:
            submission.send(events)

    with Api(url) as api, tqdm(unit=" visits", desc="simulated", delay=2, disable=None) as bar:

        def progress(visits: int, of: int) -> None:
            bar.total = of  # with which it estimates the time left
            bar.update(visits - bar.n)
            mark_as_simulated(plan, listings, log)

        summary = simulate_live(plan, listings, api, sell, now=datetime.now(UTC), progress=progress)
    return as_live_lines(url, summary)


def indexers(environ: Mapping[str, str]) -> list[Connections]:
    """Return the indexer of the deployment, and that of each encoder that an experiment's arm reads.

    Raises InvalidDefinition, NoSuchEncoder.
    """
    try:
        arms = arm_encoders(experiments_folder(environ))
    except InvalidSetting:  # no experiment runs
        arms = ()
    environments = [environ, *(arm.environment(environ) for arm in arms)]
    return [Connections(IndexerSettings.from_environ(each)) for each in environments]


def mark_as_simulated(plan: Plan, listings: Path, log: Path | None) -> None:
    """Write SIMULATED.json into the folder of a log, unless it is there."""
    if log is not None and not (log / SIMULATED).exists():
        log.mkdir(parents=True, exist_ok=True)
        write_json(log / SIMULATED, live_statement(plan, listings))


def demo_listings(environ: Mapping[str, str]) -> Path:
    """Return the file that `nitamono demo run` indexes. Raises NothingOnSale where it has not run."""
    file = StateFolder(ServiceSettings.from_environ(environ).state).marketplace / LISTINGS
    if not file.exists():
        raise NothingOnSale(
            f"{file}: not found; run `make demo` first, or name the indexed file with --listings"
        )
    return file


def as_live_lines(url: str, summary: LiveSummary) -> list[str]:
    """Return what was simulated, for people."""
    sent = ", ".join(f"{count:,} {kind.replace('_', ' ')}s" for kind, count in summary.sent.items())
    rejected = {reason: count for reason, count in summary.received.items() if reason != "accepted"}
    reasons = (
        f" ({', '.join(f'{reason} {count:,}' for reason, count in rejected.items())})" if rejected else ""
    )
    return [
        f"{url}: {summary.visits:,} simulated visits in {summary.seconds:.1f} s: {sent or 'no events'}",
        f"  Accepted: {summary.received['accepted']:,}. Rejected: {sum(rejected.values()):,}{reasons}.",
        f"  Sold: {summary.sold:,} listings, sent to the indexer",
        *(f"  {arms or 'no experiment'}: {count:,} slates" for arms, count in sorted(summary.slates.items())),
        *(
            f"  HTTP {status} instead of similar items: {count:,} visits"
            for status, count in sorted(summary.unanswered.items())
        ),
    ]


def as_lines(out: Path, written: WrittenLog) -> list[str]:
    """Return what was simulated, for people."""
    events = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in written.events.items())
    faults = ", ".join(f"{name} {count:,}" for name, count in written.faults.items() if count)
    return [
        f"{out}: simulated {events} in {written.seconds:.1f} s ({SIMULATED} has every parameter)",
        *(
            f"  {name}: expected CTR {of['ctr']:.4f} ({of['ctr_lift']:+.1%}), "
            f"purchases per tap {of['cvr_clicks']:.4f}"
            for name, of in written.truth["arms"].items()
        ),
        *([f"  Injected faults: {faults}"] if faults else []),
    ]
