"""`nitamono mappings upgrade`."""

from __future__ import annotations

from dataclasses import replace

import click
from tqdm import tqdm

from indexer.commands.connections import Connections
from indexer.jobs import rebuild as job
from indexer.worker.pipeline.store import ListingStore
from mappings.creation import VECTOR_INDEX_TYPES
from mappings.inspection import read_identity


@click.command(name="upgrade")
@click.option(
    "--vector-index",
    type=click.Choice(VECTOR_INDEX_TYPES),
    show_default="that of the live index",
    help="Elasticsearch's type of vector index.",
)
def upgrade_command(vector_index: str | None) -> None:
    """Build the live index anew in the schema of this version, and put the new index live.

    Documents are copied with their vectors: no photo is read or encoded. Workers of this version may run
    meanwhile and write events to both indices. Stop those of the version before: they cannot write the new
    index, so their events would wait. After an interruption, run the command again to resume.

    The old index is still written to, until `nitamono mappings swap NEW --stop-writing`.
    """
    connections = Connections.open()
    es, prefix = connections.es, connections.settings.prefix
    source = job.source_of_upgrade(es, prefix)
    if source is None:
        click.echo("The live index has the schema of this version already.")
        return
    options = job.options_of(es, source)
    job.admit_new_fields(es, source)
    options = replace(options, vector_index=vector_index or options.vector_index)
    rebuild = job.begin(es, prefix, source, job.encoder_of_index(es, source), options)
    made_with = job.options_of(es, rebuild.target).vector_index
    if vector_index and made_with != vector_index:
        raise click.UsageError(
            f"{rebuild.target}, which an earlier run began, is {made_with}; leave --vector-index out to "
            f"resume, or delete it with `nitamono mappings drop {rebuild.target} --force`"
        )
    store = ListingStore(es, prefix, [read_identity(es, rebuild.target)])
    if rebuild.copied:
        click.echo(f"Resuming {rebuild.target}: {rebuild.copied:,} listings are copied already.")
    with tqdm(
        total=job.count(es, source), initial=rebuild.copied, unit=" listings", disable=None, smoothing=0.05
    ) as bar:
        rebuild = job.copy(es, store, rebuild, bar.update)
    job.finish(es, prefix, rebuild)
    click.echo(f"Copied {rebuild.copied:,} listings. Live: {source} → {rebuild.target}")
    click.echo(f"Events are still written to both. To retire {source}:")
    click.echo(f"  nitamono mappings swap {rebuild.target} --stop-writing && nitamono mappings drop {source}")
