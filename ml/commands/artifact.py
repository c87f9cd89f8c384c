"""`nitamono ml artifact`."""

from collections.abc import Sequence
from pathlib import Path

import click

from ml.artifact import DEFAULT_ARTIFACT, load_artifact
from ml.commands.options import data_option, folder, read, threads_option


@click.group()
def artifact() -> None:
    """Look at encoder artifacts."""


@artifact.command()
@click.argument("artifact_folder", metavar="[FOLDER]", type=folder, default=DEFAULT_ARTIFACT)
def show(*, artifact_folder: Path) -> None:
    """Verify an artifact's files and print its manifest."""
    click.echo(load_artifact(artifact_folder).manifest.model_dump_json(indent=2))


@artifact.command()
@click.argument("artifact_folder", metavar="[FOLDER]", type=folder, default=DEFAULT_ARTIFACT)
@data_option
@click.option("--mobilenet", type=folder, help="Local folder of a MobileNetV2, to compare with.")
@threads_option
def card(*, artifact_folder: Path, data: Sequence[Path], mobilenet: Path | None, threads: int) -> None:
    """Measure an artifact on the test split of DATA and write its MODEL_CARD.md."""
    from ml.card import measure_card  # noqa: PLC0415
    from ml.comparison import import_libraries  # noqa: PLC0415
    from ml.contenders import find_contenders  # noqa: PLC0415

    import_libraries(find_contenders([artifact_folder], mobilenet, threads))
    corpus = read(data, load_artifact(artifact_folder).image_size, threads)
    path = measure_card(artifact_folder, corpus, mobilenet=mobilenet, threads=threads)
    click.echo(f"{path}: written")
