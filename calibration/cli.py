"""`nitamono query calibrate`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from calibration.calibrate import calibrate, check_encoder
from calibration.documents import Live
from calibration.judgments import read_judgments, read_same_photos
from calibration.labels import fixed_by, judged_by_labels, read_labels
from calibration.output import check_writable, write
from calibration.report import text
from console.group import Group
from console.number_types import WholeNumber
from mappings.client import connect
from query.api.settings import QuerySettings
from query.search.reader import IndexReader


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
    items: int,
    folds: int,
    seed: int,
    output: Path | None,
    force: bool,
) -> None:
    """Fit the ranking terms' weights, the floor and the duplicate thresholds to judgments or labels."""
    if (judgments is None) == (labels is None):
        raise click.UsageError("give either --judgments or --labels")
    if (labels is None) == bool(names):
        raise click.UsageError("--labels needs --label NAME, and --label needs --labels")
    if output:
        check_writable(output, force=force)
    settings = QuerySettings.from_environ(os.environ)
    ranking = settings.ranking()
    given = read_judgments(judgments) if judgments else {}
    same_photos = read_same_photos(judgments) if judgments else {}
    listings = read_labels(labels, names) if labels else {}
    with connect(settings.elasticsearch) as es:
        reader = IndexReader(es, settings.elasticsearch.prefix, settings.elasticsearch.timeout_s)
        live = Live.of(reader)
        check_encoder(live, ranking)
        if labels:
            given = judged_by_labels(live, ranking, listings, names, items, seed)
        done = calibrate(
            live,
            given,
            ranking,
            fixed=fixed_by(names) if labels else (),
            folds=folds,
            seed=seed,
            same_photos=same_photos,
        )
    click.echo(text(done))
    if output:
        write(done.file(source_of(judgments or labels, names)), output)
        click.echo(f"\nWritten: {output}")


def source_of(path: Path | None, names: tuple[str, ...]) -> str:
    """Return what the file was fitted on: `judged.csv`, `listings.jsonl by gender, colour`."""
    name = path.name if path else ""
    return f"{name} by {', '.join(names)}" if names else name
