"""`nitamono indexer sweep`."""

from __future__ import annotations

import re
from datetime import timedelta

import click

from console.counts import count_of
from indexer.commands.connections import Connections
from indexer.jobs.reembedding import retire
from indexer.jobs.sweep import sweep
from mappings.inspection import indices_behind
from mappings.names import write_alias

LONGEST_AGE = timedelta(days=36_500)
"""A century. A longer age leads to dates before the year 1."""


@click.command(name="sweep")
@click.option("--older-than", default="7d", show_default=True, help="Age, such as 7d, 12h or 30m.")
@click.pass_obj
def sweep_command(connections: Connections, older_than: str) -> None:
    """Delete old tombstones of removed listings, and indices that were replaced and are kept no longer.

    A tombstone keeps a late event from bringing a removed listing back. Keep tombstones for longer than
    events can be late.
    """
    age = parse_age(older_than)
    es = connections.es
    count = sweep(es, indices_behind(es, write_alias(connections.settings.prefix)), age)
    click.echo(f"Deleted {count_of(count, 'tombstone')} older than {older_than}.")
    for name in retire(es, connections.settings.prefix):
        click.echo(f"Deleted {name}, which was replaced.")


def parse_age(text: str) -> timedelta:
    """Return the time that `7d`, `12h`, `30m` or `45s` stands for.

    Raises:
        click.BadParameter: the text has another form, or the time is too long.
    """
    match = re.fullmatch(r"([0-9]{1,6})([dhms])", text)
    if match is None:
        raise click.BadParameter(f"found the age {text!r}; expected a number and d, h, m or s, such as 7d")
    unit = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}[match[2]]
    age = timedelta(**{unit: int(match[1])})
    if age > LONGEST_AGE:
        raise click.BadParameter(f"found the age {text!r}; expected at most {LONGEST_AGE.days:,} days")
    return age
