"""`nitamono mappings upgrade`."""

from __future__ import annotations

import click
from tqdm import tqdm

from indexer.commands.connections import Connections
from indexer.jobs import rebuild as job
from indexer.worker.pipeline.store import ListingStore
from mappings.creation import VECTOR_INDEX_TYPES, IndexOptions
from mappings.inspection import read_identity


@click.command(name="upgrade")
@click.option(
    "--vector-index",
    default="hnsw",
    show_default=True,
    type=click.Choice(VECTOR_INDEX_TYPES),
    help="Elasticsearch's type of vector index.",
)
def upgrade_command(vector_index: str) -> None:
    """Build the live index anew in the schema of this version, and put the new index live.

    Documents are copied with their vectors: no photo is read or encoded. Workers of this version may run
    meanwhile and write events to both indices. Stop those of the version before: they cannot write the new
    index, so their events would wait. After an interruption, run the command again: it goes on from there.

    The old index goes on being written. `nitamono mappings drop` deletes it when nothing needs it any more.
    """
    connections = Connections.open()
    es, prefix = connections.es, connections.settings.prefix
    source = job.source_of_upgrade(es, prefix)
    if source is None:
        click.echo("The live index has the schema of this version already.")
        return
    rebuild = job.begin(es, prefix, source, IndexOptions(vector_index=vector_index))
    store = ListingStore(es, prefix, read_identity(es, rebuild.target))
    if rebuild.copied:
        click.echo(f"Going on with {rebuild.target} after {rebuild.copied:,} listings.")
    with tqdm(
        total=job.count(es, source), initial=rebuild.copied, unit=" listings", disable=None, smoothing=0.05
    ) as bar:
        rebuild = job.copy(es, store, rebuild, bar.update)
    job.finish(es, prefix, rebuild)
    click.echo(f"Copied {rebuild.copied:,} listings. Live: {source} → {rebuild.target}")
