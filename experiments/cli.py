"""`nitamono experiment`: plan, check, stop and analyse experiments."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime

import click
from elasticsearch import Elasticsearch

from console.group import Group, Lazy
from console.table import table
from events.user_ids import user_hash, user_salt
from experiments.assignment.assign import HashBuckets, arm_at, hash_buckets
from experiments.assignment.definition import (
    Experiment,
    experiments_folder,
    find_experiment,
    read_experiments,
)
from experiments.assignment.kill_switch import read_stopped, resume, stop
from mappings.client import ElasticsearchSettings, connect
from mappings.errors import IndexMissing, MappingMismatch
from mappings.inspection import read_identity
from mappings.names import read_alias
from settings.errors import InvalidSetting

FURTHER_COMMANDS = {
    "offline": Lazy(
        "experiments.analysis.offline.cli:offline_command",
        "Estimate from a log how well encoders would have ranked its slates.",
    ),
    "plan": Lazy(
        "experiments.analysis.plan.cli:plan_command",
        "Print how many users and days the experiment NAME needs.",
    ),
    "report": Lazy(
        "experiments.analysis.verdict.cli:report_command",
        "Print from a log whether to ship the arms of the experiment NAME.",
    ),
}


@click.group(name="experiment", cls=Group, lazy=FURTHER_COMMANDS)
def group() -> None:
    """Plan, check, stop and evaluate experiments, the files in NITAMONO_EXPERIMENTS_DIR."""


@group.command(name="list")
def list_command() -> None:
    """List the experiments with their state, share of users and arms."""
    experiments = _experiments()
    if not experiments:
        click.echo(f"No .toml file in {experiments_folder(os.environ)}.")
        return
    with connect(ElasticsearchSettings.from_environ(os.environ)) as es:
        stopped = read_stopped(es, _prefix())
    today = datetime.now(UTC).date()
    head = ("EXPERIMENT", "STATE", "LAYER", "BUCKETS", "USERS", "ARMS")
    click.echo(
        table(head, (_row(experiment, stopped, today) for experiment in experiments), right=("USERS",))
    )


@group.command()
@click.option("--files-only", is_flag=True, help="Check the files without the indices in Elasticsearch.")
def check(*, files_only: bool) -> None:
    """Check all files, each and together, and that the index of each arm has its encoder."""
    experiments = _experiments()
    problems: list[str] = []
    if not files_only:
        with connect(ElasticsearchSettings.from_environ(os.environ)) as es:
            problems = [problem for experiment in experiments for problem in arm_problems(es, experiment)]
    if problems:
        raise click.ClickException("\n".join(problems))
    names = ", ".join(experiment.name for experiment in experiments)
    click.echo(f"Valid: {names}" if names else f"No .toml file in {experiments_folder(os.environ)}.")


@group.command()
@click.argument("name")
@click.argument("users", nargs=-1, required=True, metavar="USER...")
@click.option("--day", type=click.DateTime(["%Y-%m-%d"]), help="Day (UTC). [default: today]")
@click.option("--hashed", is_flag=True, help="USER is the hash in events, not the id.")
def assign(name: str, users: tuple[str, ...], day: datetime | None, *, hashed: bool) -> None:
    """Print the arm of each USER in the experiment NAME, and the hash values that decide it."""
    experiment = find_experiment(_experiments(), name)
    share = experiment.share_on(day.date() if day else datetime.now(UTC).date())
    for user in users:
        at = hash_buckets(experiment, user if hashed else user_hash(_salt(), user))
        arm = arm_at(experiment, at, share)
        click.echo(f"{user}\t{arm.name if arm else _why_not(experiment, at, share)}\t{_buckets(at)}")


@group.command(name="stop")
@click.argument("name")
def stop_command(name: str) -> None:
    """Stop the experiment NAME: within five seconds its users get the answers of control, without an arm."""
    _switch(name, stop)
    click.echo(f"Stopped {name}. `nitamono experiment resume {name}` resumes it.")


@group.command(name="resume")
@click.argument("name")
def resume_command(name: str) -> None:
    """Resume the stopped experiment NAME. Users return to their previous arms."""
    _switch(name, resume)
    click.echo(f"Resumed {name}.")


def arm_problems(es: Elasticsearch, experiment: Experiment) -> Iterator[str]:
    """Yield a sentence for each arm whose index is missing or has an encoder other than the arm's."""
    for arm in experiment.arms:
        alias = read_alias(arm.prefix or _prefix())
        try:
            problem = arm.objection(alias, read_identity(es, alias).encoder_id)
        except (IndexMissing, MappingMismatch) as error:
            problem = f"arm {arm.name}: {error}"
        if problem:
            yield f"{experiment.name}: {problem}"


def _experiments() -> tuple[Experiment, ...]:
    return read_experiments(experiments_folder(os.environ))


def _prefix() -> str:
    return ElasticsearchSettings.from_environ(os.environ).prefix


def _salt() -> str:
    salt = user_salt(os.environ)
    if salt is None:
        raise InvalidSetting("NITAMONO_USER_SALT is not set; set it to the salt of the API, or pass --hashed")
    return salt


def _switch(name: str, change: Callable[[Elasticsearch, str, str, datetime], None]) -> None:
    find_experiment(_experiments(), name)
    with connect(ElasticsearchSettings.from_environ(os.environ)) as es:
        change(es, _prefix(), name, datetime.now(UTC))


def _row(experiment: Experiment, stopped: frozenset[str], today: date) -> tuple[str, ...]:
    low, high = experiment.buckets
    return (
        experiment.name,
        experiment.state(stopped, today),
        experiment.layer,
        f"{low:g} to {high:g}",
        f"{(high - low) * experiment.share_on(today):.0%}",
        ", ".join(f"{arm.name} ({arm.weight:g})" for arm in experiment.arms),
    )


def _why_not(experiment: Experiment, at: HashBuckets, share: float) -> str:
    """Why a user with these hash buckets is in no arm."""
    low, high = experiment.buckets
    return "(not yet)" if low <= at.layer < high and at.ramp >= share else "(not in its buckets)"


def _buckets(at: HashBuckets) -> str:
    return f"layer {at.layer:.6f}\tramp {at.ramp:.6f}\tarms {at.arms:.6f}"
