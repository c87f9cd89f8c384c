"""`nitamono indexer dead-letters`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import click

from console.counts import by_name, count_of
from console.group import Group
from console.rejected import all_option, check_choice, reason_option, rejected_table
from indexer.commands.connections import Connections, warn_without_worker
from indexer.intake.submission import chunked
from indexer.summary import IndexingSummary
from queues.rejected_index import check_reason, nothing_with
from queues.task import TASK_FAILED, WORKER_LOST


@click.group(name="dead-letters", cls=Group)
def dead_letters_group() -> None:
    """List, replay and drop listings that were rejected or have no vector."""


@dead_letters_group.command(name="list")
@reason_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.pass_obj
def list_command(connections: Connections, reason: str | None, as_json: bool) -> None:
    """List listings that were rejected or have no vector, oldest first.

    Listings parked while Elasticsearch was unavailable and messages that no worker could process follow.
    """
    if as_json:
        for entry in entries(connections, reason):
            click.echo(json.dumps(entry))
        return
    found = list(entries(connections, reason))
    if not found:
        click.echo(
            f"No dead letters: {nothing_with(reason, reasons(connections))}" if reason else "No dead letters."
        )
        return
    click.echo(rejected_table(found, "item_id"))
    click.echo(f"\nIn all: {by_name(Counter(entry['reason'] for entry in found))}")


def entries(connections: Connections, reason: str | None) -> Iterator[dict[str, Any]]:
    """Yield dead letters, parked events and refused messages in one form."""
    for letter in connections.dead_letters.search(reason):
        yield {"id": letter.id} | letter.to_source(None)
    for parked in connections.parking.search(reason):
        yield {
            "id": parked.id,
            "reason": parked.reason,
            "detail": parked.detail,
            "item_id": str(parked.event.get("item_id")) if isinstance(parked.event, dict) else None,
            "event": parked.event,
            "failed_at": parked.parked_at,
        }
    for message in connections.intake.refused.search(reason):
        yield message.to_json()


def reasons(connections: Connections) -> Iterator[str]:
    """Yield the reasons of all dead letters, parked events and refused messages."""
    yield from connections.dead_letters.reasons()
    for parked in connections.parking.search():
        yield parked.reason
    for message in connections.intake.refused.search():
        yield message.reason


@dead_letters_group.command()
@reason_option
@all_option
@click.pass_obj
def replay(connections: Connections, reason: str | None, every: bool) -> None:
    """Send dead letters to the indexer again, and delete those that it processes.

    A listing that has a newer event by now counts as outdated, and its dead letter is deleted. A refused
    message returns to the queue if a worker can process it now, however late; otherwise it stays.
    """
    check_choice(reason, every)
    check_reason(reason, reasons(connections))
    warn_without_worker(connections)
    summary, unreplayable = replay_letters(connections, reason)
    summary += replay_parked(connections, reason)
    click.echo(str(summary))
    if unreplayable:
        without = count_of(unreplayable, "dead letter")
        click.echo(
            f"Not sent: {without} without a listing; `nitamono indexer dead-letters drop` deletes them."
        )
    for sentence in connections.intake.replay(reason).sentences("nitamono indexer dead-letters"):
        click.echo(sentence)


def replay_letters(connections: Connections, reason: str | None) -> tuple[IndexingSummary, int]:
    """Send the dead letters that hold an event, and delete those that are processed now.

    Returns:
        The summary of what was sent, and how many dead letters hold no event.
    """
    letters = list(connections.dead_letters.search(reason))
    sendable = [letter for letter in letters if letter.event is not None]
    summary = send_and_wait(connections, [letter.event for letter in sendable])
    # A listing that is rejected again has a new dead letter, with a later time.
    now = {letter.id: letter.failed_at for letter in connections.dead_letters.search()}
    processed = [letter for letter in sendable if now.get(letter.id) == letter.failed_at]
    connections.dead_letters.delete(processed)
    return summary, len(letters) - len(sendable)


def replay_parked(connections: Connections, reason: str | None) -> IndexingSummary:
    """Send parked events again and return their summary.

    Events that ended their task or worker are sent one by one, so that they cannot affect others again.
    """
    parked = list(connections.parking.search(reason))
    suspects = [entry.event for entry in parked if entry.reason in {TASK_FAILED, WORKER_LOST}]
    others = [entry.event for entry in parked if entry.reason not in {TASK_FAILED, WORKER_LOST}]
    summary = send_and_wait(connections, others) + send_and_wait(connections, suspects, one_by_one=True)
    connections.parking.release([entry.id for entry in parked])
    return summary


def send_and_wait(
    connections: Connections, events: Iterable[Any], *, one_by_one: bool = False
) -> IndexingSummary:
    """Send events, wait until each has an outcome, and return their summary."""
    submission = connections.submission(wait=True)
    submission.alone = one_by_one
    for part in chunked(events, 1 if one_by_one else connections.settings.batch_size):
        submission.send(part)
    return submission.finish()


@dead_letters_group.command()
@reason_option
@all_option
@click.confirmation_option("--yes", prompt="Permanently delete these dead letters?")
@click.pass_obj
def drop(connections: Connections, reason: str | None, every: bool) -> None:
    """Permanently delete dead letters."""
    check_choice(reason, every)
    check_reason(reason, reasons(connections))
    dropped = list(connections.dead_letters.search(reason))
    connections.dead_letters.delete(dropped)
    parked = [entry.id for entry in connections.parking.search(reason)]
    connections.parking.release(parked)
    refused = connections.intake.refused
    messages = refused.release([message.id for message in refused.search(reason)])
    click.echo(f"Deleted {count_of(len(dropped) + len(parked) + messages, 'dead letter')}.")
