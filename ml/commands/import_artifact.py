"""`nitamono ml import`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from console.number_types import WholeNumber
from ml.commands.options import existing, folder, read, threads_option

if TYPE_CHECKING:
    from ml.artifact import EncoderArtifact


@click.command(name="import")
@click.argument("source")
@click.option("--out", type=folder, required=True, help="Folder of the artifact.")
@click.option(
    "--pca-data",
    "--data",
    "photos",
    type=existing,
    multiple=True,
    help="Photos to fit PCA and the scale of similarities to: a listing JSONL, a folder, the output of "
    "`nitamono ml pairs`, or a photo. If they have labels, a model card is measured on them. "
    "May be given several times.",
)
@click.option(
    "--projection",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Projection (.npz) of `nitamono ml fit-pca`, used instead of fitting PCA to --pca-data.",
)
@click.option("--dims", type=WholeNumber(1), default=128, show_default=True, help="Dimensions after PCA.")
@click.option(
    "--pca/--no-pca", default=True, help="--no-pca keeps the network's width even if --pca-data is given."
)
@click.option(
    "--text/--no-text",
    default=True,
    help="--no-text leaves out the text tower, which can be most of the size.",
)
@click.option("--name", help="Name of the artifact.  [default: that of the source]")
@threads_option
def import_artifact(
    *,
    source: str,
    out: Path,
    photos: Sequence[Path],
    projection: Path | None,
    dims: int,
    pca: bool,
    text: bool,
    name: str | None,
    threads: int,
) -> None:
    """Import a SigLIP or MobileNetV2 from Hugging Face.

    SOURCE is a Hugging Face id or a local folder. Without --pca-data and --projection, vectors keep the
    network's width. Without --pca-data, the scale of similarities is measured on synthetic photos.
    """
    from transformers.utils import logging  # noqa: PLC0415

    from ml.export import hf_import  # noqa: PLC0415
    from ml.pca.projection import load_projection  # noqa: PLC0415

    # It reports weights that are left out on purpose; ml.export.hf_import raises what matters.
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    if not photos:
        click.echo("no --pca-data: the scale of similarities is measured on synthetic photos", err=True)
    made = hf_import.import_artifact(
        source,
        out,
        photos=photos,
        dims=dims if pca else None,
        projection=load_projection(projection) if projection else None,
        name=name,
        text=text,
        threads=threads,
    )
    size = sum((out / file).stat().st_size for file in made.manifest.files) / 1e6
    towers = "photos and captions" if made.has_text else "photos only"
    click.echo(
        f"{out}: {made.encoder_id}, {made.dims} dims, {made.image_size} pixels, {towers}, {size:.0f} MB"
    )
    if photos:
        write_card(made, photos, threads)


def write_card(made: "EncoderArtifact", photos: Sequence[Path], threads: int) -> None:
    """Write the model card of the artifact, unless the photos have no labels to measure it by."""
    from ml.data.pairs import NoPairs  # noqa: PLC0415
    from ml.evaluation.comparison import SplitTooSmall  # noqa: PLC0415
    from ml.evaluation.evaluated_encoders import EvaluatedEncoders  # noqa: PLC0415
    from ml.evaluation.model_card import measure_card  # noqa: PLC0415
    from ml.metrics.relevance import UninformativeLabels  # noqa: PLC0415

    try:
        path = measure_card(
            EvaluatedEncoders((made,), {}, threads), read(photos, made.preprocessing, threads)
        )
    except (NoPairs, SplitTooSmall, UninformativeLabels) as error:
        click.echo(
            f"no model card: {error}; write one with `nitamono ml artifact card {made.folder} --data …`",
            err=True,
        )
    else:
        click.echo(f"{path}: model card")
