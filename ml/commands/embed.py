"""`nitamono ml embed`."""

from collections.abc import Sequence
from pathlib import Path

import click

from ml.artifact import load_artifact
from ml.commands.options import artifact_option, existing, threads_option


@click.command()
@click.argument("paths", nargs=-1, required=True, type=existing)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="A .npy file.")
@artifact_option
@threads_option
def embed(*, paths: Sequence[Path], out: Path, artifact_folder: Path, threads: int) -> None:
    """Embed photos: files, folders, a JSONL of listings, or what `nitamono ml pairs` wrote.

    The ids go beside OUT, as NAME.ids.txt.
    """
    from ml.embed import embed_photos, ids_path, photo_sources, save_embedded  # noqa: PLC0415
    from ml.encoder import load_encoder  # noqa: PLC0415

    artifact = load_artifact(artifact_folder)
    encoder = load_encoder(artifact, threads=threads)
    sources = list(photo_sources(paths))
    embedded = embed_photos(sources, encoder, artifact.preprocessing, threads=threads)
    for item_id, reason in embedded.left_out.items():
        click.echo(f"{item_id}: {reason}", err=True)
    counts = ", ".join(f"{reason} {count}" for reason, count in sorted(embedded.reasons.items()))
    click.echo(
        f"{len(sources)} given, {len(embedded.ids)} embedded by {encoder.encoder_id}, "
        f"{len(embedded.left_out)} left out{f' ({counts})' if counts else ''}"
    )
    if not embedded.ids:
        raise click.ClickException(f"nothing could be embedded of {', '.join(map(str, paths))}")
    save_embedded(embedded, out)
    click.echo(
        f"{out}: {embedded.vectors.shape[0]} × {embedded.vectors.shape[1]} float32; ids in {ids_path(out)}"
    )
