"""`nitamono ml quantise`."""

from collections.abc import Sequence
from pathlib import Path

import click

from console.number_types import Number
from ml.artifact import load_artifact
from ml.commands.options import data_option, folder, threads_option


@click.command()
@click.argument("artifact", type=folder)
@data_option
@click.option("--out", type=folder, required=True, help="Folder of the int8 artifact.")
@click.option(
    "--least-cosine",
    type=Number(0, 1),
    default=0.995,
    show_default=True,
    help="Refuse a mean cosine to ARTIFACT's vectors below it.",
)
@threads_option
def quantise(*, artifact: Path, data: Sequence[Path], out: Path, least_cosine: float, threads: int) -> None:
    """Make an artifact that computes in int8 of ARTIFACT, calibrated on the photos of DATA."""
    from ml.export.quantise import quantise as quantise_artifact  # noqa: PLC0415

    made = quantise_artifact(load_artifact(artifact), data, out, least_cosine=least_cosine, threads=threads)
    click.echo(f"{out}: {made.encoder_id}, {made.manifest.training['int8']}")
