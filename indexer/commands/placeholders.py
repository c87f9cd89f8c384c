"""`nitamono indexer placeholders`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import click

from console.counts import count_of
from console.group import Group
from console.number_types import WholeNumber
from console.table import table
from indexer.commands.connections import Connections
from indexer.jobs.placeholders import SharedPhoto, repair, shared_photos
from indexer.photos.marks import Mark, MarkedBy, RedisMarks, Verdict
from mappings.inspection import indices_behind
from mappings.names import read_alias


@click.group(name="placeholders", cls=Group)
def placeholders_group() -> None:
    """Find photos that many listings share, and remove those that show no item.

    A worker leaves out a photo that NITAMONO_PLACEHOLDER_SELLERS sellers use, unless most of its listings are
    in one leaf category.
    """


@placeholders_group.command(name="list")
@click.option("--count", type=WholeNumber(1, 1000), default=20, show_default=True, help="Photos to list.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one photo a line.")
@click.pass_obj
def list_shared(connections: Connections, count: int, as_json: bool) -> None:
    """List the marked photos, and those that most listings share."""
    marked = marks_of(connections).all()
    indices = list(indices_behind(connections.es, read_alias(connections.settings.prefix)))
    shared = {each.image_hash: each for each in shared_photos(connections.es, indices, count=count, least=3)}
    names = [*marked, *(each for each in shared if each not in marked)]
    if as_json:
        for name in names:
            click.echo(json.dumps(_as_json(name, marked.get(name), shared.get(name))))
    elif names:
        head = ("listings", "sellers", "categories", "mark", "hash")
        rows = [_as_row(name, marked.get(name), shared.get(name)) for name in names]
        click.echo(table(head, rows, right=head[:3]))
    else:
        click.echo("No photo is marked or shared by three listings.")


@placeholders_group.command()
@click.argument("image_hash", metavar="HASH")
@click.argument("verdict", type=click.Choice([each.value for each in Verdict]))
@click.pass_obj
def mark(connections: Connections, image_hash: str, verdict: str) -> None:
    """Mark the photos with a hash as placeholder or as fine, whatever the counts say."""
    if len(image_hash) != 128 or not set(image_hash) <= set("0123456789abcdef"):
        raise click.BadParameter("expected the 128 hex digits that `list` prints", param_hint="HASH")
    marks_of(connections).replace(image_hash, Mark.now(Verdict(verdict), MarkedBy.OPERATOR))
    if verdict == Verdict.FINE:
        click.echo(
            "Marked. `nitamono indexer dead-letters replay --reason photo_placeholder` indexes its listings; "
            "those with other photos as well have it again when their event is repeated."
        )
    else:
        click.echo(
            "Marked. `nitamono indexer placeholders repair` removes it from listings that are indexed."
        )


@placeholders_group.command()
@click.argument("image_hash", metavar="HASH")
@click.pass_obj
def unmark(connections: Connections, image_hash: str) -> None:
    """Delete the mark of a hash, so that the counts decide again."""
    count = marks_of(connections).drop([image_hash])
    click.echo("Deleted the mark." if count else "There is no mark of this hash.")


@placeholders_group.command(name="repair")
@click.pass_obj
def repair_index(connections: Connections) -> None:
    """Remove the vectors of photos that are marked as placeholders.

    A worker leaves them out of later listings only. A listing without another photo gets a dead letter, so
    that it can be replayed once the photo is marked as fine; another one has it again when its event is
    repeated.
    """
    placeholders = {
        name: mark
        for name, mark in marks_of(connections).all().items()
        if mark.verdict is Verdict.PLACEHOLDER
    }
    count = repair(connections.store, connections.dead_letters, placeholders)
    click.echo(f"Removed placeholders from {count_of(count, 'document')}.")


def marks_of(connections: Connections) -> RedisMarks:
    """Return the marks of this index prefix."""
    return RedisMarks(connections.redis, connections.settings.prefix)


def _as_json(image_hash: str, mark: Mark | None, photo: SharedPhoto | None) -> dict[str, Any]:
    return {
        "hash": image_hash,
        "mark": mark and asdict(mark),
        "listings": photo.listings if photo else 0,
        "sellers": len(photo.usage.sellers) if photo else 0,
        "categories": len(photo.usage.leaves) if photo else 0,
        "example": photo.example if photo else None,
    }


def _as_row(image_hash: str, mark: Mark | None, photo: SharedPhoto | None) -> list[str]:
    said = f"{mark.verdict} ({mark.by})" if mark else ""
    found = _as_json(image_hash, mark, photo)
    return [*(str(found[name]) for name in ("listings", "sellers", "categories")), said, image_hash]
