"""`nitamono experiment report`."""

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
    help="The last day (UTC) to read. [default: yesterday, or the planned end if earlier]",
)
def report_command(name: str, *, log: Path, out: Path | None, as_json: bool, until: datetime | None) -> None:
    """Recommend from its log whether to ship an arm of the experiment NAME, with all figures.

    Experiments are read from the folder NITAMONO_EXPERIMENTS_DIR.
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
    """The last complete day (UTC)."""
    return datetime.now(UTC).date() - timedelta(days=1)
