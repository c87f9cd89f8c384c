"""`nitamono indexer status`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import click

from indexer.commands.connections import Connections
from indexer.intake.row import is_item_id
from mappings.remedies import remedy
from queues.listings.status import IndexingState, IndexingStatus, IndexingStatuses


@click.command(name="status")
@click.argument("item_ids", metavar="ITEM...", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.pass_obj
def status_command(connections: Connections, item_ids: tuple[str, ...], as_json: bool) -> None:
    """Show whether items are queued, indexed, rejected (and why) or unknown.

    The exit status is 1 if one of them is rejected or unknown.
    """
    for invalid in (each for each in item_ids if not is_item_id(each)):
        raise click.UsageError(f"found {invalid[:300]!r}, expected an item id of 1 to 256 bytes")
    statuses = IndexingStatuses(connections.es, connections.redis, connections.settings.prefix)
    found = [statuses.of(item_id) for item_id in item_ids]
    for status in found:
        click.echo(json.dumps(to_json(status)) if as_json else "\n".join(lines(status)))
    if {status.state for status in found} & {IndexingState.REJECTED, IndexingState.UNKNOWN}:
        raise SystemExit(1)


def to_json(status: IndexingStatus) -> dict[str, Any]:
    """Return the status as JSON, with what to do about its problem and each photo that is not used."""
    fields = asdict(status)
    for unused in fields["document"]["unused_photos"] if status.document else ():
        unused["remedy"] = remedy(unused["reason"])
    if status.problem:
        fields["problem"] = fields["problem"] | {"remedy": remedy(status.problem.reason)}
        del fields["problem"]["version"]
    return fields


def lines(status: IndexingStatus) -> Iterator[str]:
    """Yield the status as text: a line for the state, then for the document, each of its photos that is not
    used, and the problem, if any."""
    yield f"{status.item_id}: {status.state}"
    if document := status.document:
        yield (
            f"  Indexed at {document.indexed_at} by {document.encoder_id} in {document.index}: "
            f"{document.status}, as of {document.updated_at}."
        )
        for unused in document.unused_photos:
            yield f"  Photo {unused.photo + 1} is not used: {unused.reason}."
            yield f"  {unused.detail}"
            yield f"  {remedy(unused.reason)}"
    if problem := status.problem:
        kind = "Rejected" if status.state is IndexingState.REJECTED else "Problem"
        yield f"  {kind} at {problem.failed_at}: {problem.reason}."
        yield f"  {problem.detail}"
        yield f"  {remedy(problem.reason)}"
