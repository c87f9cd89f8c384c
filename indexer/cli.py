"""`nitamono index` and `nitamono indexer`."""

from __future__ import annotations

import click

from console.group import Group
from indexer.commands.connections import Connections
from indexer.commands.dead_letters import dead_letters_group
from indexer.commands.embed import embed_command
from indexer.commands.forget import forget_command
from indexer.commands.forward import forward_command
from indexer.commands.index import index_command
from indexer.commands.placeholders import placeholders_group
from indexer.commands.reconcile import reconcile_command
from indexer.commands.reembed import reembed_command, rollback_command
from indexer.commands.remove import remove_command
from indexer.commands.status import status_command
from indexer.commands.sweep import sweep_command

__all__ = ["group", "index_command", "remove_command"]


@click.group(name="indexer", cls=Group)
@click.pass_context
def group(ctx: click.Context) -> None:
    """Show the status of items, manage what was rejected, and look after whole indices."""
    ctx.obj = Connections.open()


group.add_command(dead_letters_group)
group.add_command(embed_command)
group.add_command(forget_command)
group.add_command(reconcile_command)
group.add_command(reembed_command)
group.add_command(rollback_command)
group.add_command(status_command)
group.add_command(forward_command)
group.add_command(placeholders_group)
group.add_command(sweep_command)
