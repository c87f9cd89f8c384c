"""`nitamono remove`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click

from console.counts import count_of
from indexer.commands.connections import Connections, warn_without_worker
from indexer.intake.submission import chunked
from mappings.changes import REMOVE, parse_event
from mappings.errors import InvalidListing
from mappings.listing import isoformat
from queues.lanes import LIVE


@click.command(name="remove")
@click.argument("item_ids", metavar="ID...", nargs=-1, required=True)
@click.option(
    "--at",
    help="When the items were removed, such as 2026-01-31T09:30:00Z. A later event of an item wins.",
    show_default="now",
)
@click.option("--wait", is_flag=True, help="Wait until every item is removed.")
def remove_command(item_ids: tuple[str, ...], at: str | None, wait: bool) -> None:
    """Remove items: none of them is an answer any more, and their titles, photos and vectors are deleted.

    `nitamono indexer status` shows what became of an item.
    """
    events = removals(item_ids, at or isoformat(datetime.now(UTC)))
    connections = Connections.open()
    if wait:
        warn_without_worker(connections)
    submission = connections.submission(wait=wait)
    submission.priority = LIVE
    for part in chunked(events, connections.settings.batch_size):
        submission.send(part)
    summary = submission.finish()
    if not wait:
        click.echo(f"Sent {count_of(len(events), 'removal')} to the queue.")
    elif summary.rejected:
        click.echo(str(summary))
        raise SystemExit(1)
    else:
        click.echo(f"{count_of(summary.total, 'removal')} done.")


def removals(item_ids: Sequence[str], at: str) -> list[dict[str, Any]]:
    """Return the events that remove the items.

    Raises:
        click.UsageError: an id or the time is invalid; all problems are named.
    """
    events = [{"op": REMOVE, "item_id": item_id, "updated_at": at} for item_id in item_ids]
    problems: dict[str, None] = {}
    for event in events:
        try:
            parse_event(event)
        except InvalidListing as error:
            problems |= dict.fromkeys(map(str, error.problems))
    if problems:
        raise click.UsageError("; ".join(problems))
    return events
