"""The one command `nitamono`, composed of each package's click commands."""

from __future__ import annotations

import os

import click

from console.group import Group, Lazy
from settings.errors import UserError
from settings.services_file import with_services

COMMANDS = {
    "demo": Lazy("demo.cli:group", "Run the whole system on this machine."),
    "events": Lazy("events.cli:group", "Count, export, delete and erase events."),
    "experiment": Lazy("experiments.cli:group", "Plan, check, stop and evaluate experiments."),
    "index": Lazy("indexer.cli:index_command", "Index the listings of files, of a bucket or of a database."),
    "indexer": Lazy("indexer.cli:group", "Status, dead letters, reconciliation, re-embedding and takedowns."),
    "keys": Lazy("query.access.cli:group", "Create, list, revoke and rotate API keys."),
    "mappings": Lazy(
        "mappings.cli:group",
        "Create, check, list, swap, upgrade and drop indices.",
        {
            "upgrade": Lazy(
                "indexer.commands.upgrade:upgrade_command",
                "Rebuild the live index in this schema.",
            )
        },
    ),
    "ml": Lazy("ml.cli:group", "Train, export, compare and run encoders."),
    "query": Lazy("calibration.cli:group", "Calibrate the ranking of similar items."),
    "remove": Lazy("indexer.cli:remove_command", "Remove items by id."),
    "similar": Lazy("query.cli:similar_command", "Print the items similar to an item."),
}

_HELP = "nitamono.help"


class MainGroup(Group):
    """The group that notes whether a subcommand is asked for its help."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Note whether the arguments ask for help."""
        ctx.meta[_HELP] = "--help" in args
        return super().parse_args(ctx, args)


@click.group(cls=MainGroup, lazy=COMMANDS)
@click.version_option(package_name="nitamono")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Visually similar items for a marketplace, on Elasticsearch."""
    if ctx.invoked_subcommand == "demo":  # it starts the services, so it reads their record itself
        return
    try:
        os.environ.update(with_services(os.environ))
    except UserError:
        if ctx.invoked_subcommand != "ml" and not ctx.meta[_HELP]:
            raise
