"""The click group of all commands."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final, NamedTuple

import click

from console.errors import missing_library, reported_errors, sentence

INTERRUPTED: Final = 130
"""The exit status that shells give to a command ended by Ctrl-C."""


class Lazy(NamedTuple):
    """A command that is imported when it is called.

    Importing every command takes seconds; `nitamono --help` takes a tenth of one.
    """

    target: str
    """Its module and name, such as `query.cli:similar_command`."""
    summary: str
    """The first sentence of its help."""
    further: Mapping[str, Lazy] = {}
    """Commands of other packages to add to it, if it is a group."""

    def load(self) -> click.Command:
        """Import the command."""
        module, _, name = self.target.partition(":")
        command: click.Command = getattr(import_module(module), name)
        if isinstance(command, Group):
            command.lazy.update(self.further)
        return command


class Group(click.Group):
    """A group that prints one sentence for an error that a user can correct.

    `lazy` has the commands that are imported when called, by name.
    """

    def __init__(self, *args: Any, lazy: Mapping[str, Lazy] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lazy = dict(lazy or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted([*super().list_commands(ctx), *self.lazy])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of that name."""
        if cmd_name in self.lazy:
            return self.lazy[cmd_name].load()
        return super().get_command(ctx, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing the lazy ones."""
        rows = []
        for name in self.list_commands(ctx):
            if name in self.lazy:
                rows.append((name, self.lazy[name].summary))
            elif (command := self.get_command(ctx, name)) is not None:
                rows.append((name, command.get_short_help_str(limit=200)))
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> object:
        """Run the command.

        Raises:
            click.ClickException: an error that a user can correct, as one sentence.
            ModuleNotFoundError: a module is missing that no installation has.
        """
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            raise SystemExit(INTERRUPTED) from None
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except ModuleNotFoundError as error:
            raise click.ClickException(missing_library(error)) from error
        except reported_errors() as error:
            raise click.ClickException(sentence(error, os.environ)) from error
