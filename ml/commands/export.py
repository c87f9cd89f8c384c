"""`nitamono ml export`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ml.commands.options import data_option, folder, read, threads_option

if TYPE_CHECKING:
    from ml.data.corpus import Corpus


@click.command()
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@data_option
@click.option("--out", type=folder, required=True, help="Folder of the artifact.")
@threads_option
def export(*, run: Path, data: Sequence[Path], out: Path, threads: int) -> None:
    """Export a training run as an artifact.

    RUN may have been interrupted. Give the same --data as in training, in the same order.
    """
    from ml.training.run_folder import read_config  # noqa: PLC0415

    export_run(run, read(data, read_config(run).preprocessing, threads), out, threads)


def export_run(run: Path, corpus: "Corpus", out: Path, threads: int) -> None:
    """Export a run, write its model card and print both."""
    from ml.evaluation.evaluated_encoders import EvaluatedEncoders  # noqa: PLC0415
    from ml.evaluation.model_card import measure_card  # noqa: PLC0415
    from ml.export.export_run import export_artifact  # noqa: PLC0415

    exported = export_artifact(run, corpus, out, threads=threads)
    click.echo(f"{out}: {exported.encoder_id}")
    click.echo(json.dumps(exported.manifest.metrics, indent=2))
    path = measure_card(EvaluatedEncoders((exported,), {}, threads), corpus)
    click.echo(f"{path}: model card")
