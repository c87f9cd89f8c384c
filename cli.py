"""The one command `nitamono`, composed of each package's click commands."""

from __future__ import annotations

import importlib
import os

import click

from settings.errors import UserError
from settings.services_file import with_services

# Imported when called, so that `nitamono --help` and each command start without the others' libraries.
_COMMANDS = {
    "demo": ("demo.cli", "group", "Run the whole system on this machine."),
    "events": ("events.cli", "group", "Count, export, let go and erase events."),
    "experiment": ("experiments.cli", "group", "Plan, check, stop and judge experiments."),
    "index": ("indexer.cli", "index_command", "Index the listings of a file or folder."),
    "indexer": ("indexer.cli", "group", "Look after the indexer: dead letters, tombstones."),
    "mappings": ("mappings.cli", "group", "Make, check, list, swap and drop indices."),
    "ml": ("ml.cli", "group", "Train, evaluate and run encoders."),
    "similar": ("query.cli", "similar_command", "Print the items similar to one."),
}

_HELP = "nitamono.help"


class PackageCommands(click.Group):
    """A group whose subcommands live in the packages and are imported on first use."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Notes whether help is asked for, which the subcommand answers."""
        ctx.meta[_HELP] = "--help" in args
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all subcommands."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The subcommand of that name, from its package."""
        if cmd_name not in _COMMANDS:
            return None
        module, attribute, _ = _COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the list of subcommands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in _COMMANDS.items()])


@click.command(cls=PackageCommands)
@click.version_option(package_name="nitamono")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Visually similar items for a marketplace, on Elasticsearch."""
    if ctx.invoked_subcommand == "demo":  # which starts the services, so it tells its own from others
        return
    try:
        os.environ.update(with_services(os.environ))
    except UserError as error:
        if _needs_services(ctx):
            raise click.ClickException(str(error)) from error


def _needs_services(ctx: click.Context) -> bool:
    return ctx.invoked_subcommand != "ml" and not ctx.meta[_HELP]
