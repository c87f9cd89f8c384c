"""`nitamono indexer sweep`."""

from __future__ import annotations

import click

from console.counts import count_of
from console.duration import DURATION, Duration
from indexer.commands.connections import Connections
from indexer.jobs.reembedding import retire
from indexer.jobs.sweep import sweep
from mappings.inspection import indices_behind
from mappings.names import write_alias


@click.command(name="sweep")
@click.option(
    "--older-than", type=DURATION, default="7d", show_default=True, help="Age, such as 7d, 12h or 30m."
)
@click.pass_obj
def sweep_command(connections: Connections, older_than: Duration) -> None:
    """Delete old tombstones of removed listings, and indices that were replaced and are kept no longer.

    A tombstone keeps a late event from bringing a removed listing back. Keep tombstones for longer than
    events can be late.
    """
    es = connections.es
    count = sweep(es, indices_behind(es, write_alias(connections.settings.prefix)), older_than.time)
    click.echo(f"Deleted {count_of(count, 'tombstone')} older than {older_than}.")
    for name in retire(es, connections.settings.prefix):
        click.echo(f"Deleted {name}, which was replaced.")
