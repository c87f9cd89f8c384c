"""`nitamono experiment offline`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from console.number_types import Number
from events.log_tables import SIMULATED
from experiments.analysis.log.read import EventLog, read_valid_files
from experiments.analysis.offline.evaluation import CLIP, Evaluation, Ranked, Task, evaluate
from experiments.analysis.offline.examples import examples_of, photos_of
from experiments.analysis.offline.orders import Gain
from experiments.analysis.offline.report import write_results
from experiments.analysis.offline.slates import TappedLog
from experiments.analysis.offline.vectors import ItemVectors, read_vectors
from experiments.analysis.offline.wording import text
from ml.errors import MlError


def named_files(
    context: click.Context, parameter: click.Parameter, values: Sequence[str]
) -> list[tuple[str, Path]]:
    """The names and files of NAME=FILE.npy.

    Raises:
        click.BadParameter: one is not of that form.
    """
    parts = [value.partition("=") for value in values]
    for value, (name, _, path) in zip(values, parts, strict=True):
        if not name or not path:
            raise click.BadParameter(f"{value!r} is not NAME=FILE.npy", context, parameter)
    return [(name, Path(path)) for name, _, path in parts]


@click.command(name="offline")
@click.option(
    "--log",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="Folder of the event log, as `nitamono events export` writes it.",
)
@click.option(
    "--vectors",
    "named",
    callback=named_files,
    multiple=True,
    required=True,
    metavar="NAME=FILE.npy",
    help="Vectors of an encoder, as `nitamono ml embed` writes them. May be given several times.",
)
@click.option(
    "--listings",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSONL of listings, whose photos the page then shows.",
)
@click.option("--baseline", help="Row to compare with. [default: the first --vectors]")
@click.option(
    "--gain",
    type=click.Choice([each.value for each in Gain]),
    default=Gain.TAPS.value,
    show_default=True,
    help="Whether a purchase after a tap counts twice.",
)
@click.option(
    "--clip",
    type=Number(min=1),
    default=CLIP,
    show_default=True,
    help="Largest weight of a tap.",
)
@click.option("--slices", is_flag=True, help="Print scores by category, price, day and order shown too.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write offline.html and offline.json to.",
)
def offline_command(
    *,
    folder: Path,
    named: Sequence[tuple[str, Path]],
    listings: Path | None,
    baseline: str | None,
    gain: str,
    clip: float,
    slices: bool,
    out: Path | None,
) -> None:
    """Evaluate on a log how well encoders would have ordered its slates."""
    try:
        encoders = [read_vectors(name, path) for name, path in named]
        _evaluate(folder, encoders, Task(baseline, Gain(gain), clip), listings, out, slices=slices)
    except MlError as error:
        raise click.ClickException(str(error)) from error


def _evaluate(
    folder: Path,
    encoders: Sequence[ItemVectors],
    task: Task,
    listings: Path | None,
    out: Path | None,
    *,
    slices: bool,
) -> None:
    now = datetime.now(UTC)

    def evaluated(log: EventLog) -> tuple[Evaluation, Ranked]:
        tapped = TappedLog(log.workspace(), now=now)
        simulated = (folder / SIMULATED).exists() or log.simulated()
        return evaluate(tapped, encoders, task, name=folder.name, simulated=simulated)

    (evaluation, ranked), faulty = read_valid_files(folder, evaluated)
    for fault in faulty:
        click.echo(f"excluded: {fault.path}: {fault.reason}", err=True)
    click.echo(text(evaluation, slices=slices))
    if out:
        examples = examples_of(ranked, photos_of(listings)) if listings else []
        for path in write_results(evaluation, examples, out):
            click.echo(f"{path}: written", err=True)
