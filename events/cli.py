"""`nitamono events`: count, export, delete and erase events, and look after rejected ones."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from itertools import chain
from pathlib import Path

import click
from elasticsearch import Elasticsearch
from tqdm import tqdm

from console.counts import by_name, count_of
from console.group import Group
from console.number_types import Number, WholeNumber
from console.rejected import all_option, check_choice, reason_option, rejected_table
from console.table import table
from events.names import STORE_EVENTS
from events.user_ids import user_hash, user_salt
from events.worker.app import producer, work_queue
from events.worker.backlog import open_backlog
from events.worker.erasure import erase_logged, erase_refused, erase_stored
from events.worker.export import export_day
from events.worker.rejected import RejectedEvents
from events.worker.retention import count_events, drop_logged, drop_stored, first_kept
from events.worker.settings import EventSettings
from mappings.client import connect
from mappings.scan import delete_as_read
from queues.rejected_index import check_reason, nothing_with
from queues.transport import Intake


@dataclass(frozen=True)
class Connections:
    """The services that the commands use."""

    settings: EventSettings
    es: Elasticsearch

    @property
    def prefix(self) -> str:
        """The prefix of the names of the indices."""
        return self.settings.prefix

    @property
    def rejected(self) -> RejectedEvents:
        """The rejected events."""
        return RejectedEvents(self.es, self.prefix)

    @property
    def intake(self) -> Intake:
        """The check of messages, with those that no worker can process."""
        return work_queue(self.settings).intake


@click.group(name="events", cls=Group)
@click.pass_context
def group(ctx: click.Context) -> None:
    """Count, export, delete and erase events."""
    settings = EventSettings.from_environ(os.environ)
    ctx.obj = Connections(settings, connect(settings.elasticsearch))


log_folder = click.Path(file_okay=False, path_type=Path)
day_type = click.DateTime(["%Y-%m-%d"])
wait_option = click.option(
    "--wait",
    "wait_s",
    type=Number(min=0, min_open=True),
    help="First wait until all accepted events are stored, for at most this many seconds.",
)


@group.command(name="count")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.pass_obj
def count_command(connections: Connections, as_json: bool) -> None:
    """Print the number of events of each day, by type."""
    counts = list(count_events(connections.es, connections.prefix))
    if as_json:
        for counted in counts:
            click.echo(json.dumps({"day": counted.day.isoformat(), **counted.kinds}))
    elif not counts:
        click.echo("No events.")
    else:
        click.echo(_count_table({counted.day.isoformat(): counted.kinds for counted in counts}))


@group.command(name="export")
@click.argument("folder", type=log_folder)
@click.option("--from", "first", type=day_type, help="The first day; by default the oldest.")
@click.option("--to", "last", type=day_type, help="The last day; by default the newest.")
@wait_option
@click.pass_obj
def export_command(
    connections: Connections,
    folder: Path,
    first: datetime | None,
    last: datetime | None,
    wait_s: float | None,
) -> None:
    """Write the events to FOLDER as a parquet log, one file per day (UTC) and event type.

    Days that were exported before are replaced, so that late events are included.
    """
    if wait_s is not None:
        open_backlog(connections.settings).wait(wait_s)
    counts = [
        counted
        for counted in count_events(connections.es, connections.prefix)
        if (first is None or counted.day >= first.date()) and (last is None or counted.day <= last.date())
    ]
    total = sum(sum(counted.kinds.values()) for counted in counts)
    written = 0
    with tqdm(total=total, unit=" events", disable=None, smoothing=0.05) as bar:
        for counted in counts:
            bar.set_description(counted.day.isoformat())
            written += export_day(connections.es, connections.prefix, counted.day, folder, bar.update)
    click.echo(f"Wrote {count_of(written, 'event')} of {count_of(len(counts), 'day')} to {folder}.")


@group.command(name="retain")
@click.option("--days", required=True, type=WholeNumber(1), help="Number of days before today to keep.")
@click.option("--log", type=log_folder, help="Also delete old days of the parquet log in this folder.")
@click.pass_obj
def retain_command(connections: Connections, days: int, log: Path | None) -> None:
    """Permanently delete events and refused messages older than --days."""
    before = first_kept(datetime.now(UTC).date(), days)
    click.echo(f"Deleted from the indices: {_days(drop_stored(connections.es, connections.prefix, before))}")
    messages = connections.intake.refused.expire(datetime.combine(before, time(), UTC))
    if messages:
        click.echo(f"Deleted refused messages: {messages:,}")
    if log:
        click.echo(f"Deleted from the log: {_days(drop_logged(log, before))}")


@group.command(name="erase")
@click.argument("user_id")
@click.option("--log", type=log_folder, help="Also erase the user from the parquet log in this folder.")
@wait_option
@click.pass_obj
def erase_command(connections: Connections, user_id: str, log: Path | None, wait_s: float | None) -> None:
    """Delete all events of a user. USER_ID is the id that the site uses.

    Events that are still in the queue are stored afterwards; --wait waits for them first.
    """
    salt = user_salt(os.environ)
    if salt is None:
        raise click.ClickException(
            "NITAMONO_USER_SALT is not set: without it no event can be attributed to a user"
        )
    if wait_s is not None:
        open_backlog(connections.settings).wait(wait_s)
    user = user_hash(salt, user_id)
    stored = erase_stored(connections.es, connections.prefix, user)
    logged = erase_logged(log, user) if log else 0
    click.echo(
        f"Erased {count_of(stored, 'stored event')}" + (f" and {logged:,} in the log." if log else ".")
    )
    messages = erase_refused(connections.intake.refused, user, user_id)
    if messages:
        click.echo(f"Erased {count_of(messages, 'refused message')} that named the user.")


@group.group(name="rejected", cls=Group)
def rejected_group() -> None:
    """List, replay and drop events that could not be stored."""


@rejected_group.command(name="list")
@reason_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.pass_obj
def list_command(connections: Connections, reason: str | None, as_json: bool) -> None:
    """List rejected events, oldest first, and messages that no worker could process."""
    rejected = (hit["_source"] for hit in connections.rejected.index.search(reason))
    refused = (message.to_json() for message in connections.intake.refused.search(reason))
    if as_json:
        for source in chain(rejected, refused):
            click.echo(json.dumps(source))
        return
    found = [*rejected, *refused]
    if not found:
        known = _reasons(connections)
        click.echo(f"No rejected events: {nothing_with(reason, known)}" if reason else "No rejected events.")
        return
    click.echo(rejected_table(found, "event_id"))
    click.echo(f"\nIn all: {by_name(Counter(source['reason'] for source in found))}")


@rejected_group.command()
@reason_option
@all_option
@click.pass_obj
def replay(connections: Connections, reason: str | None, every: bool) -> None:
    """Send rejected events to the worker again.

    Events that are rejected again stay in the list. A refused message returns to the queue if a worker can
    process it now, however late; otherwise it stays.
    """
    check_choice(reason, every)
    check_reason(reason, _reasons(connections))
    sent = 0
    with closing(producer(connections.settings)) as queue:
        for hits in connections.rejected.index.pages(reason):
            events = [json.loads(hit["_source"]["event"]) for hit in hits]
            queue.send_task(STORE_EVENTS, args=[events], retry=False)
            # After the sending, so that none is lost; and as it was read, since the worker may be faster.
            sent += delete_as_read(connections.es, hits)
    click.echo(f"Sent {count_of(sent, 'event')} again.")
    for sentence in connections.intake.replay(reason).sentences("nitamono events rejected"):
        click.echo(sentence)


@rejected_group.command()
@reason_option
@all_option
@click.confirmation_option("--yes", prompt="Permanently delete these rejected events?")
@click.pass_obj
def drop(connections: Connections, reason: str | None, every: bool) -> None:
    """Permanently delete rejected events."""
    check_choice(reason, every)
    check_reason(reason, _reasons(connections))
    dropped = sum(delete_as_read(connections.es, hits) for hits in connections.rejected.index.pages(reason))
    refused = connections.intake.refused
    dropped += refused.release([message.id for message in refused.search(reason)])
    click.echo(f"Deleted {count_of(dropped, 'rejected event')}.")


def _reasons(connections: Connections) -> Iterator[str]:
    """Yield the reasons of all rejected events and refused messages."""
    yield from connections.rejected.index.reasons()
    for message in connections.intake.refused.search():
        yield message.reason


def _count_table(days: Mapping[str, Mapping[str, int]]) -> str:
    """Return a row for each day and one for all, a column for each kind."""
    kinds = sorted({kind for counts in days.values() for kind in counts})
    total = {kind: sum(counts.get(kind, 0) for counts in days.values()) for kind in kinds}
    rows = [
        (day, *(f"{counts.get(kind, 0):,}" for kind in kinds))
        for day, counts in {**days, "all": total}.items()
    ]
    head = [kind.upper() for kind in kinds]
    return table(["DAY", *head], rows, right=head)


def _days(days: Sequence[date]) -> str:
    return f"{count_of(len(days), 'day')}, {days[0]} to {days[-1]}" if days else "nothing"
