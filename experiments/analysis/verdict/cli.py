"""`nitamono experiment report`: what to do, and why."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import click

from experiments.analysis.verdict.evidence import gather
from experiments.analysis.verdict.report import JSON, PAGE, json_text, text, write_report
from experiments.analysis.verdict.results import ExperimentResults, read
from experiments.assignment.definition import experiments_folder, find_experiment, read_experiments


@click.command(name="report")
@click.argument("name")
@click.option(
    "--log",
    "log",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the event log, as `nitamono events export` writes it.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help=f"Folder to write {PAGE} and {JSON} to.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option(
    "--until",
    type=click.DateTime(["%Y-%m-%d"]),
    help="The last day (UTC) to read; yesterday or the planned end unless told otherwise.",
)
def report_command(name: str, *, log: Path, out: Path | None, as_json: bool, until: datetime | None) -> None:
    """Say whether to ship the arms of the experiment NAME: from its log, in one sentence with all figures.

    Experiments are the files of the folder that NITAMONO_EXPERIMENTS_DIR names.
    """
    experiment = find_experiment(read_experiments(experiments_folder(os.environ)), name)
    results = read(gather(log, experiment, until.date() if until else yesterday()))
    click.echo(json_text(results).decode().rstrip() if as_json else text(results))
    if out is not None:
        _write(results, out)
        click.echo(f"\n{out / PAGE}", err=as_json)


def _write(results: ExperimentResults, out: Path) -> None:
    try:
        write_report(results, out)
    except OSError as error:
        raise click.ClickException(f"{out}: the report cannot be written ({error.strerror})") from error


def yesterday() -> date:
    """The last day that is whole, in UTC."""
    return datetime.now(UTC).date() - timedelta(days=1)
