"""`nitamono ml embed`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ml.artifact import load_artifact
from ml.commands.options import artifact_option, existing, threads_option

if TYPE_CHECKING:
    from ml.inference.embed import Embedded


@click.command()
@click.argument("paths", nargs=-1, required=True, type=existing)
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help=".npy file of the vectors."
)
@artifact_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@threads_option
def embed(*, paths: Sequence[Path], out: Path, artifact_folder: Path, as_json: bool, threads: int) -> None:
    """Embed photos and write the vectors to a .npy file.

    PATHS are photos, folders, listing JSONL files, or folders that `nitamono ml pairs` wrote. Ids are written
    to NAME.ids.txt next to NAME.npy, one per line; an id with a line break or bytes that are not UTF-8 is a
    JSON string. Each file that is left out is printed with its reason.
    """
    from ml.inference.embed import embed_photos, id_line, ids_path, photo_sources, save_embedded  # noqa: PLC0415
    from ml.inference.encoder import load_encoder  # noqa: PLC0415

    artifact = load_artifact(artifact_folder)
    encoder = load_encoder(artifact, threads=threads)
    sources = list(photo_sources(paths))
    embedded = embed_photos(sources, encoder, artifact.preprocessing, threads=threads)
    if not as_json:
        print_summary(embedded, len(sources), encoder.encoder_id)
    if embedded.ids:
        save_embedded(embedded, out)
    if as_json:
        click.echo(json.dumps(summary(embedded, len(sources), encoder.encoder_id, out)))
    if not embedded.ids:
        raise click.ClickException(f"{', '.join(map(str, paths))}: no photo could be embedded")
    if not as_json:
        count, dims = embedded.vectors.shape
        click.echo(f"{id_line(str(out))}: {count:,} × {dims} float32; ids in {id_line(str(ids_path(out)))}")


def print_summary(embedded: "Embedded", given: int, encoder_id: str) -> None:
    """Print each photo that was left out, and counts by reason."""
    from ml.inference.embed import id_line  # noqa: PLC0415

    for item_id, reason in embedded.left_out:
        click.echo(f"{id_line(item_id)}: {reason}", err=True)
    counts = ", ".join(f"{reason} {count:,}" for reason, count in sorted(embedded.reasons.items()))
    click.echo(
        f"{given:,} given, {len(embedded.ids):,} embedded by {encoder_id}, "
        f"{len(embedded.left_out):,} left out{f' ({counts})' if counts else ''}"
    )


def summary(embedded: "Embedded", given: int, encoder_id: str, out: Path) -> dict[str, object]:
    """The summary that --json prints."""
    from ml.inference.embed import ids_path  # noqa: PLC0415

    return {
        "encoder_id": encoder_id,
        "given": given,
        "embedded": len(embedded.ids),
        "dims": embedded.vectors.shape[1],
        "vectors": str(out) if embedded.ids else None,
        "ids": str(ids_path(out)) if embedded.ids else None,
        "left_out": [{"id": item_id, "reason": reason} for item_id, reason in embedded.left_out],
    }
