"""`nitamono ml check`."""

from collections.abc import Sequence
from pathlib import Path

import click

from console.number_types import WholeNumber
from ml.artifact import load_artifact
from ml.commands.options import artifact_option, existing, threads_option


@click.command()
@click.argument("data", nargs=-1, required=True, type=existing)
@artifact_option
@click.option(
    "--items",
    type=WholeNumber(2, 20_000),
    default=2_000,
    show_default=True,
    help="Number of listings to draw at random; fewer are faster, more give narrower intervals.",
)
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write an HTML page with ten listings and their neighbours.",
)
@threads_option
def check(
    *, data: Sequence[Path], artifact_folder: Path, items: int, report: Path | None, threads: int
) -> None:
    """Check whether an encoder fits your listings.

    DATA are listing JSONL files, folders of CLASS/photo.jpg, or folders that `nitamono ml pairs` wrote. Each
    photo is searched among the others. Prints how many of its five nearest neighbours are of its own leaf
    category, next to a random order, colour alone and a frozen network, and a sentence that says whether the
    encoder is good enough. Takes about a minute.
    """
    from ml.evaluation.check.agreement import measure  # noqa: PLC0415
    from ml.evaluation.check.sample import read_sample  # noqa: PLC0415
    from ml.evaluation.check.text import check_text  # noqa: PLC0415

    artifact = load_artifact(artifact_folder)
    measured = measure(read_sample(data, items, threads=threads), artifact, threads=threads)
    click.echo(check_text(measured))
    if report:
        from ml.evaluation.check.page import write_check  # noqa: PLC0415  only a page needs jinja2

        write_check(measured, report)
        click.echo(f"{report}: written", err=True)
