"""`nitamono query calibrate`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import click

from calibration.calibrate import Calibrated, calibrate, check_encoder
from calibration.calibrate_taps import calibrate_taps
from calibration.documents import Live
from calibration.judgments import read_judgments, read_same_photos
from calibration.labels import JUDGED_BY, fixed_by, judged_by_labels, read_labels
from calibration.output import check_writable, write
from calibration.report import text
from calibration.taps import read_taps
from console.group import Group
from console.number_types import WholeNumber
from mappings.client import connect
from query.api.settings import QuerySettings
from query.search.ranking import Ranking
from query.search.reader import IndexReader

Calibration = Callable[[Live, Ranking, int, int], Calibrated]
"""Fits the ranking in use, in some folds with a seed."""


@click.group(name="query", cls=Group)
def group() -> None:
    """Calibrate the ranking of similar items."""


@group.command(name="calibrate")
@click.option(
    "--judgments",
    type=click.Path(dir_okay=False, exists=True, path_type=Path),
    help="CSV or JSON lines with item_id, other_id and grade, 0 for unlike, and optionally same_photo.",
)
@click.option(
    "--labels",
    type=click.Path(dir_okay=False, exists=True, path_type=Path),
    help="Listings as JSON lines whose attributes judge instead.",
)
@click.option(
    "--label", "names", multiple=True, metavar="NAME", help="An attribute that judges, or `category`."
)
@click.option(
    "--log",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    help="Folder of the event log, as `nitamono events export` writes it, whose taps judge instead.",
)
@click.option(
    "--items", type=WholeNumber(1), default=300, show_default=True, help="Items to sample from the labels."
)
@click.option(
    "--folds", type=WholeNumber(2, 20), default=5, show_default=True, help="Parts for cross-validation."
)
@click.option(
    "--seed", type=WholeNumber(0), default=0, show_default=True, help="Of the sample and the folds."
)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="The ranking file to write.")
@click.option("--force", is_flag=True, help="Replace the ranking file.")
def calibrate_command(
    *,
    judgments: Path | None,
    labels: Path | None,
    names: tuple[str, ...],
    log: Path | None,
    items: int,
    folds: int,
    seed: int,
    output: Path | None,
    force: bool,
) -> None:
    """Fit the ranking to judgments, labels or taps: its weights, and what else they determine."""
    given = [path for path in (judgments, labels, log) if path]
    if len(given) != 1:
        raise click.UsageError("give one of --judgments, --labels and --log")
    if (labels is None) == bool(names):
        raise click.UsageError("--labels needs --label NAME, and --label needs --labels")
    if output:
        check_writable(output, force=force)
    settings = QuerySettings.from_environ(os.environ)
    ranking = settings.ranking()
    if judgments:
        calibration = from_judgments(judgments)
    else:
        calibration = from_labels(labels, names, items) if labels else from_log(given[0])
    with connect(settings.elasticsearch) as es:
        reader = IndexReader(es, settings.elasticsearch.prefix, settings.elasticsearch.timeout_s)
        live = Live.of(reader)
        check_encoder(live, ranking)
        done = calibration(live, ranking, folds, seed)
    click.echo(text(done))
    if output:
        write(done.file(source_of(given[0], names)), output)
        click.echo(f"\nWritten: {output}")
        if not done.effect.gain.shown_to_help:
            click.echo("It is not shown to be better than the ranking in use: keep that one.", err=True)


def from_judgments(path: Path) -> Calibration:
    """Read judgments to fit to.

    Raises:
        InvalidJudgments
    """
    given, same_photos = read_judgments(path), read_same_photos(path)
    return lambda live, ranking, folds, seed: calibrate(
        live, given, ranking, fixed={}, folds=folds, seed=seed, same_photos=same_photos
    )


def from_labels(path: Path, names: tuple[str, ...], items: int) -> Calibration:
    """Read listings whose labels judge.

    Raises:
        InvalidJudgments
    """
    listings, fixed = read_labels(path, names), dict.fromkeys(fixed_by(names), JUDGED_BY)

    def calibrated(live: Live, ranking: Ranking, folds: int, seed: int) -> Calibrated:
        given = judged_by_labels(live, ranking, listings, names, items, seed)
        return calibrate(live, given, ranking, fixed=fixed, folds=folds, seed=seed)

    return calibrated


def from_log(folder: Path) -> Calibration:
    """Read a log whose taps judge, and name the files that cannot be read.

    Raises:
        UnreadableLog
        TooLittleData: no slate has a tap.
    """
    log = read_taps(folder)
    for fault in log.faulty:
        click.echo(f"excluded: {fault.path}: {fault.reason}", err=True)
    return lambda live, ranking, folds, seed: calibrate_taps(live, log, ranking, folds=folds, seed=seed)


def source_of(path: Path, names: tuple[str, ...]) -> str:
    """Return what the file was fitted on: `judged.csv`, `listings.jsonl by gender, colour`."""
    return f"{path.name} by {', '.join(names)}" if names else path.name
