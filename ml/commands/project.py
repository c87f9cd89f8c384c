"""`nitamono ml project`."""

from collections.abc import Sequence
from pathlib import Path

import click

from ml.artifact import load_artifact
from ml.commands.options import existing, folder


@click.command()
@click.argument("artifact", type=folder)
@click.option(
    "--projection",
    "projection_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="The projection.npz of `nitamono ml fit-pca`.",
)
@click.option(
    "--embeddings",
    type=existing,
    multiple=True,
    required=True,
    help="Shards of full-width vectors, or a folder of them, to measure similarities on. Repeatable.",
)
@click.option("--out", type=folder, required=True, help="Folder of the new artifact.")
def project(*, artifact: Path, projection_file: Path, embeddings: Sequence[Path], out: Path) -> None:
    """Create an artifact with another projection from full width to the dims of the index.

    Its network is that of ARTIFACT, so full-width vectors of ARTIFACT are also its own. It has an encoder_id
    of its own. A text tower that was trained for the projection of ARTIFACT is left out.
    """
    from ml.data.vector_shards import open_shards  # noqa: PLC0415
    from ml.export.project import project as project_artifact  # noqa: PLC0415
    from ml.pca.projection import load_projection  # noqa: PLC0415

    source = load_artifact(artifact)
    made = project_artifact(source, load_projection(projection_file), open_shards(embeddings), out)
    click.echo(f"{out}: {made.encoder_id}, {made.dims} dims, made of {source.encoder_id}")
    if source.has_text and not made.has_text:
        click.echo(
            "It encodes photos only: the text tower was trained for the old projection. "
            "`nitamono ml export` of the training run makes an artifact with both."
        )
