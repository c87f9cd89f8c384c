"""`nitamono ml artifact`."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from ml.artifact import DEFAULT_ARTIFACT, GOLDEN, load_artifact
from ml.commands.options import data_option, existing, folder, read, threads_option


@click.group()
def artifact() -> None:
    """Show, verify and complete encoder artifacts."""


@artifact.command()
@click.argument("artifact_folder", metavar="[FOLDER]", type=folder, default=DEFAULT_ARTIFACT)
def show(*, artifact_folder: Path) -> None:
    """Verify an artifact's files and print its manifest."""
    click.echo(load_artifact(artifact_folder).manifest.model_dump_json(indent=2))


@artifact.command()
@click.argument("artifact_folder", metavar="FOLDER", type=folder)
def golden(*, artifact_folder: Path) -> None:
    """Add golden vectors to an older artifact. Its encoder_id does not change.

    Use a machine whose results you trust: all others are compared with it.
    """
    from ml.export.golden import add_golden  # noqa: PLC0415

    # A run killed between its two writes leaves golden vectors that the manifest does not list.
    made = add_golden(load_artifact(artifact_folder, unchecked=(GOLDEN,)))
    click.echo(f"{artifact_folder}: {made.encoder_id} has golden vectors")


@artifact.command()
@click.argument("artifact_folder", metavar="[FOLDER]", type=folder, default=DEFAULT_ARTIFACT)
@data_option
@click.option("--mobilenet", type=folder, help="Local folder of a MobileNetV2 to compare with.")
@click.option("--unseen", type=existing, help="The unseen.json of `nitamono ml unseen`, to add to the card.")
@threads_option
def card(
    *, artifact_folder: Path, data: Sequence[Path], mobilenet: Path | None, unseen: Path | None, threads: int
) -> None:
    """Measure an artifact on a test split and write its model card.

    The card, MODEL_CARD.md, is written to FOLDER.
    """
    from ml.evaluation.comparison import import_libraries  # noqa: PLC0415
    from ml.evaluation.evaluated_encoders import load_encoders  # noqa: PLC0415
    from ml.evaluation.model_card import measure_card  # noqa: PLC0415
    from ml.evaluation.unseen_kinds import read_unseen  # noqa: PLC0415

    measured = load_artifact(artifact_folder)
    kinds = None if unseen is None else read_unseen(unseen, measured.manifest)
    evaluated = replace(load_encoders([], mobilenet, threads), artifacts=(measured,))
    import_libraries(evaluated)
    path = measure_card(evaluated, read(data, evaluated.preprocessing, threads), kinds)
    click.echo(f"{path}: written")
