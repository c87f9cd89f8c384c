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
    help="Fail if the mean cosine to the vectors of ARTIFACT is lower.",
)
@threads_option
def quantise(*, artifact: Path, data: Sequence[Path], out: Path, least_cosine: float, threads: int) -> None:
    """Create an int8 version of an artifact.

    The image graph is calibrated on the photos of --data. The new artifact has an encoder_id of its own.
    """
    from ml.export.quantise import quantise as quantise_artifact  # noqa: PLC0415

    made = quantise_artifact(load_artifact(artifact), data, out, least_cosine=least_cosine, threads=threads)
    click.echo(f"{out}: {made.encoder_id}, {made.manifest.training['int8']}")
