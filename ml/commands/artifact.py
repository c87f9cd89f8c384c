"""`nitamono ml artifact`."""

from pathlib import Path

import click

from ml.artifact import DEFAULT_ARTIFACT, load_artifact
from ml.commands.options import folder


@click.group()
def artifact() -> None:
    """Look at encoder artifacts."""


@artifact.command()
@click.argument("artifact_folder", metavar="[FOLDER]", type=folder, default=DEFAULT_ARTIFACT)
def show(*, artifact_folder: Path) -> None:
    """Verify an artifact's files and print its manifest."""
    click.echo(load_artifact(artifact_folder).manifest.model_dump_json(indent=2))
