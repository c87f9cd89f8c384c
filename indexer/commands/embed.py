"""`nitamono indexer embed`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import click
from tqdm import tqdm

from console.counts import count_of
from indexer.commands.connections import Connections
from indexer.intake.files import read_rows
from indexer.jobs.embed import embed
from indexer.jobs.expected_items import Expected, Rejected, from_index, from_rows
from indexer.photos.marks import NoMarks
from indexer.settings import IndexerSettings
from indexer.summary import by_reason, explained
from indexer.worker.bootstrap import build_photos
from indexer.worker.embedding_log import EmbeddingLog
from mappings.identity import IndexVectors
from mappings.inspection import index_vectors, indices_behind, only_index
from mappings.names import read_alias
from ml.artifact import load_artifact
from ml.data.embedding_shards import stored_items
from ml.inference.full_width import load_full_width_encoder


@click.command(name="embed")
@click.argument("files", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--embeddings",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder to which full-width vectors are written.",
)
@click.option(
    "--encoder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the encoder's artifact.",
    show_default="NITAMONO_ENCODER_DIR",
)
@click.pass_obj
def embed_command(
    connections: Connections, files: tuple[Path, ...], embeddings: Path, encoder: Path | None
) -> None:
    """Keep full-width vectors of the listings in FILES, or of the live index without FILES.

    Photos are read and encoded here, on a GPU where there is one; no index is written. Listings that the
    folder has with the same photos are skipped, so the command goes on after an interruption.
    `nitamono indexer reembed --embeddings` uses them.
    """
    settings = IndexerSettings.from_environ(os.environ)
    settings = replace(settings, placeholder_sellers=0)  # decided when a document is written
    artifact = load_artifact(encoder or settings.encoder)
    loaded = load_full_width_encoder(
        artifact, backend=settings.encoder_backend, threads=settings.encoder_threads
    )
    log = EmbeddingLog(embeddings)
    photos = build_photos(settings, connections.es, {artifact.folder: loaded}, NoMarks(), log.add)
    try:
        with tqdm(unit=" listings", disable=None) as bar:
            found = embed(
                listings(connections, files),
                photos,
                IndexVectors(artifact.encoder_id, photos_of_live_index(connections)),
                stored_items(embeddings, loaded.last.backbone_id),
                photos_per_listing=settings.photos_per_listing,
                progress=bar.update,
            )
    finally:
        log.close()
    click.echo(
        f"{embeddings}: {count_of(found.encoded, 'listing')} encoded, {found.stored:,} were there already, "
        f"{found.left_out.total():,} left out."
    )
    if found.left_out:
        click.echo(f"Left out: {by_reason(found.left_out)}.")
    for line in explained(found.left_out, found.examples):
        click.echo(line)


def photos_of_live_index(connections: Connections) -> int:
    """Return the number of photos of a listing that have a vector each in the live index; 1 without one."""
    live = indices_behind(connections.es, read_alias(connections.settings.prefix))
    return max((index_vectors(entry).photos for entry in live.values()), default=1)


def listings(connections: Connections, files: Sequence[Path]) -> Iterator[Expected | Rejected]:
    """Yield the listings of files, or of the live index."""
    for file in files:
        yield from from_rows(read_rows(file, file.parent.resolve()))
    if not files:
        live, _ = only_index(connections.es, read_alias(connections.settings.prefix))
        yield from from_index(connections.es, live)
