"""`nitamono events`: count, export, delete and erase events, and look after rejected ones."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from itertools import chain
from pathlib import Path
from typing import Any

import click
from elasticsearch import Elasticsearch
from tqdm import tqdm

from console.group import Group
from console.number_types import Number, WholeNumber
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
from queues.rejected_index import check_reason
from queues.transport import Intake


@dataclass(frozen=True)
class Connections:
    """What the commands work with."""

    settings: EventSettings
    es: Elasticsearch

    @property
    def prefix(self) -> str:
        """What the names of the indices begin with."""
        return self.settings.prefix

    @property
    def rejected(self) -> RejectedEvents:
        """The rejected events."""
        return RejectedEvents(self.es, self.prefix)

    @property
    def intake(self) -> Intake:
        """The queue's messages that no worker can take."""
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
    help="First wait, at most so many seconds, until all events that were taken are stored.",
)


@group.command(name="count")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.pass_obj
def count_command(connections: Connections, as_json: bool) -> None:
    """Print how many events each day has, by kind."""
    total: Counter[str] = Counter()
    for counted in count_events(connections.es, connections.prefix):
        total += Counter(counted.kinds)
        if as_json:
            click.echo(json.dumps({"day": counted.day.isoformat(), **counted.kinds}))
        else:
            click.echo(f"{counted.day}  {_counts(counted.kinds)}")
    if not as_json:
        click.echo(f"in all      {_counts(total)}")


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
    """Write the events to FOLDER as a parquet log, a file for each day (UTC) and kind.

    The files of a day that was exported before are replaced, so late events come along.
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
    click.echo(f"{written:,} events of {len(counts):,} days in {folder}")


@group.command(name="retain")
@click.option("--days", required=True, type=WholeNumber(1), help="Days before today to keep.")
@click.option("--log", type=log_folder, help="Folder of a parquet log to shorten as well.")
@click.pass_obj
def retain_command(connections: Connections, days: int, log: Path | None) -> None:
    """Delete the events of days that are older, for good, and messages refused before them."""
    before = first_kept(datetime.now(UTC).date(), days)
    click.echo(f"deleted from the indices: {_days(drop_stored(connections.es, connections.prefix, before))}")
    messages = connections.intake.refused.expire(datetime.combine(before, time(), UTC))
    if messages:
        click.echo(f"deleted refused messages: {messages:,}")
    if log:
        click.echo(f"deleted from the log: {_days(drop_logged(log, before))}")


@group.command(name="erase")
@click.argument("user_id")
@click.option("--log", type=log_folder, help="Folder of a parquet log to rewrite as well.")
@wait_option
@click.pass_obj
def erase_command(connections: Connections, user_id: str, log: Path | None, wait_s: float | None) -> None:
    """Delete all events of a user, named by the id that the site knows.

    Events that still wait in the queue are stored afterwards, unless you --wait for them.
    """
    salt = user_salt(os.environ)
    if salt is None:
        raise click.ClickException("set NITAMONO_USER_SALT: without it nobody knows which events are whose")
    if wait_s is not None:
        open_backlog(connections.settings).wait(wait_s)
    user = user_hash(salt, user_id)
    stored = erase_stored(connections.es, connections.prefix, user)
    logged = erase_logged(log, user) if log else 0
    click.echo(f"erased {stored:,} stored events" + (f" and {logged:,} of the log" if log else ""))
    messages = erase_refused(connections.intake.refused, user, user_id)
    if messages:
        click.echo(f"erased {messages:,} refused messages that named the user")


@group.group(name="rejected", cls=Group)
def rejected_group() -> None:
    """Look at events that could not be stored, and send them again."""


reason_option = click.option("--reason", help="Only those with this reason code.")
all_option = click.option("--all", "every", is_flag=True, help="Those of every reason.")


@rejected_group.command(name="list")
@reason_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.pass_obj
def list_command(connections: Connections, reason: str | None, as_json: bool) -> None:
    """List the rejected events, oldest first, and messages that no worker could take."""
    counts: Counter[str] = Counter()
    rejected = (hit["_source"] for hit in connections.rejected.index.search(reason))
    refused = (message.to_json() for message in connections.intake.refused.search(reason))
    for source in chain(rejected, refused):
        counts[source["reason"]] += 1
        click.echo(json.dumps(source) if as_json else _line(source))
    if not as_json:
        click.echo(_counts(counts))


@rejected_group.command()
@reason_option
@all_option
@click.pass_obj
def replay(connections: Connections, reason: str | None, every: bool) -> None:
    """Send rejected events to the worker again, and forget them.

    Those that it rejects once more are kept once more. A refused message goes back to the queue if a worker
    can take it now, however late; otherwise it stays.
    """
    _check_choice(reason, every)
    _check_reason(connections, reason)
    sent = 0
    with closing(producer(connections.settings)) as queue:
        for hits in connections.rejected.index.pages(reason):
            events = [json.loads(hit["_source"]["event"]) for hit in hits]
            queue.send_task(STORE_EVENTS, args=[events], retry=False)
            # After the sending, so that none is lost; and as it was read, since the worker may be faster.
            sent += delete_as_read(connections.es, hits)
    click.echo(f"{sent:,} events sent again")
    for sentence in connections.intake.replay(reason).sentences("rejected"):
        click.echo(sentence)


@rejected_group.command()
@reason_option
@all_option
@click.confirmation_option("--yes", prompt="Rejected events are forgotten for good. Go on?")
@click.pass_obj
def drop(connections: Connections, reason: str | None, every: bool) -> None:
    """Forget rejected events."""
    _check_choice(reason, every)
    _check_reason(connections, reason)
    dropped = sum(delete_as_read(connections.es, hits) for hits in connections.rejected.index.pages(reason))
    refused = connections.intake.refused
    dropped += refused.release([message.id for message in refused.search(reason)])
    click.echo(f"dropped {dropped:,}")


def _check_choice(reason: str | None, every: bool) -> None:
    if every == bool(reason):
        raise click.UsageError("name a --reason, or pass --all")


def _check_reason(connections: Connections, reason: str | None) -> None:
    """Check that something was rejected for the reason, if one is given."""
    refused = (message.reason for message in connections.intake.refused.search())
    check_reason(reason, chain(connections.rejected.index.reasons(), refused))


def _line(source: Mapping[str, Any]) -> str:
    detail = " ".join(source["detail"].split())
    event_id = source.get("event_id") or "-"
    return f"{source['failed_at'][:19]}Z  {source['reason']}  {event_id}  {detail[:160]}"


def _counts(kinds: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in sorted(kinds.items())) or "none"


def _days(days: Sequence[date]) -> str:
    return f"{len(days):,} days, {days[0]} to {days[-1]}" if days else "nothing"
