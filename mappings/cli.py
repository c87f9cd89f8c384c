"""`nitamono mappings`."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

import click
from elasticsearch import Elasticsearch

from console.group import Group
from console.number_types import WholeNumber
from console.table import table
from mappings import aliases, creation, inspection, lifecycle
from mappings.client import ElasticsearchSettings, connect
from mappings.creation import IndexOptions
from mappings.identity import EncoderIdentity
from mappings.lifecycle import IndexState
from mappings.listing import MAX_PHOTOS
from mappings.names import read_alias
from settings.encoder import DEFAULT_ENCODER


@click.group(name="mappings", cls=Group)
@click.pass_context
def group(ctx: click.Context) -> None:
    """Create, check, list, swap, upgrade and drop indices of listings."""
    settings = ElasticsearchSettings.from_environ(os.environ)
    ctx.obj = (connect(settings), settings.prefix)


encoder_option = click.option(
    "--encoder",
    "encoder",
    envvar="NITAMONO_ENCODER_DIR",
    type=click.Path(file_okay=False, path_type=Path),
    default=DEFAULT_ENCODER,
    show_default="the committed one",
    help="Folder of the encoder artifact.",
)


@group.command()
@encoder_option
@click.option("--shards", default=1, show_default=True, type=WholeNumber(1, 1024), help="Primary shards.")
@click.option(
    "--replicas",
    type=WholeNumber(0, 10),
    help="Replicas of each primary shard.",
    show_default="1 where a second node can hold it",
)
@click.option(
    "--vector-index",
    default="hnsw",
    show_default=True,
    type=click.Choice(creation.VECTOR_INDEX_TYPES),
    help="Elasticsearch's type of vector index.",
)
@click.option(
    "--photos",
    type=WholeNumber(1, MAX_PHOTOS),
    default=1,
    show_default=True,
    help="First photos of a listing that are searched, each by a vector of its own.",
)
@click.option(
    "--write",
    is_flag=True,
    help="Add it to the write alias: workers fill it, no request reads it.",
)
@click.option("--live", is_flag=True, help="Point the read alias at it and add it to the write alias.")
@click.option(
    "--if-missing", is_flag=True, help="With --live: if an index is already live, only print its name."
)
@click.option("--force", is_flag=True, help="With --live: create it even if the live index has listings.")
@click.pass_obj
def create(
    connection: tuple[Elasticsearch, str],
    encoder: Path,
    shards: int,
    replicas: int | None,
    vector_index: str,
    photos: int,
    write: bool,
    live: bool,
    if_missing: bool,
    force: bool,
) -> None:
    """Create an empty index for an encoder and print its name."""
    if if_missing and not live:
        raise click.UsageError("--if-missing needs --live")
    if write and live:
        raise click.UsageError("pass either --write or --live: a live index is also in the write alias")
    es, prefix = connection
    identity = EncoderIdentity.from_artifact(encoder)
    options = IndexOptions(shards, replicas, vector_index, photos)
    if if_missing:
        click.echo(lifecycle.ensure_live_index(es, prefix, identity, options=options))
        return
    if live and not force:
        aliases.check_swap(es, prefix, None)
    name = creation.create_index(es, prefix, identity, options=options)
    if live:
        aliases.swap_aliases(es, prefix, name)
    elif write:
        aliases.start_writing(es, prefix, name)
    click.echo(name)


@group.command()
@click.argument("index", required=False)
@encoder_option
@click.pass_obj
def check(connection: tuple[Elasticsearch, str], index: str | None, encoder: Path) -> None:
    """Check that INDEX is for the encoder; without INDEX, that one index is live and in the write alias."""
    es, prefix = connection
    identity = EncoderIdentity.from_artifact(encoder)
    if index is None:
        inspection.check_live(es, prefix, identity)
    else:
        inspection.check_index(es, index, identity)
    click.echo(f"{index or read_alias(prefix)} is for {identity.encoder_id}, {identity.dims} dims")


@group.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def list_command(connection: tuple[Elasticsearch, str], as_json: bool) -> None:
    """List the indices with their aliases, oldest first."""
    states = lifecycle.list_indices(*connection)
    if as_json:
        click.echo(json.dumps([asdict(state) for state in states], default=str))
        return
    if not states:
        click.echo("No index exists; `nitamono mappings create --live` creates one.")
        return
    head = ("INDEX", "STATE", "LISTINGS", "SIZE", "ALIASES")
    click.echo(table(head, map(_row, states), right=("LISTINGS", "SIZE")))


def _row(state: IndexState) -> tuple[str, ...]:
    aliases = ", ".join(state.aliases) or "-"
    if state.documents is None or state.bytes is None:
        return state.name, "closed" if state.closed else "unavailable", "-", "-", aliases
    return state.name, "open", f"{state.documents:,}", f"{state.bytes / 2**20:,.1f} MiB", aliases


@group.command()
@click.argument("index")
@click.option("--stop-writing", is_flag=True, help="Remove the previous indices from the write alias.")
@click.option("--force", is_flag=True, help="Swap even if INDEX has far fewer listings than the live index.")
@click.pass_obj
def swap(connection: tuple[Elasticsearch, str], index: str, stop_writing: bool, force: bool) -> None:
    """Make INDEX live: point the read alias at it."""
    if not force:
        aliases.check_swap(*connection, index)
    before = aliases.swap_aliases(*connection, index, keep_writing=not stop_writing)
    if before == [index]:
        click.echo(f"{index} is live already.")
    else:
        click.echo(f"{read_alias(connection[1])}: {', '.join(before) or 'nothing'} → {index}")


@group.command()
@click.argument("index", required=False)
@click.option("--unused", is_flag=True, help="Drop every index without an alias.")
@click.option("--force", is_flag=True, help="Drop INDEX even if it has an alias.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.pass_obj
def drop(
    connection: tuple[Elasticsearch, str], index: str | None, unused: bool, force: bool, yes: bool
) -> None:
    """Delete INDEX, or all unused ones."""
    es, prefix = connection
    if unused == bool(index):
        raise click.UsageError("pass either INDEX or --unused")
    names = lifecycle.unused_indices(es, prefix) if index is None else [index]
    for name in names:
        lifecycle.check_drop(es, name, force=force)
    if not names:
        click.echo("No unused index.")
        return
    if not yes:
        click.confirm(f"Permanently delete {', '.join(names)} with all listings?", abort=True)
    for name in names:
        lifecycle.drop_index(es, name, force=force)
        click.echo(f"Dropped {name}.")
