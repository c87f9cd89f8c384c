"""`nitamono index` and `nitamono indexer`."""

from __future__ import annotations

import json
import os
import re
import signal
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import click
import redis
from celery import Celery
from elasticsearch import Elasticsearch
from tqdm import tqdm

from console.group import INTERRUPTED, Group
from console.number_types import WholeNumber
from indexer.intake.files import Selection, SkippedFile, checked_rows_of, is_text_encoding, read_rows, select
from indexer.intake.row import Row
from indexer.intake.submission import Submission, chunked
from indexer.jobs.sweep import sweep
from indexer.settings import IndexerSettings
from indexer.summary import IndexingSummary, count_of
from indexer.worker.app import producer
from indexer.worker.bootstrap import work_queue
from indexer.worker.dead_letters import DeadLetter, DeadLetters
from indexer.worker.parking import ParkingLot
from indexer.worker.store import ListingStore
from mappings.client import connect
from mappings.identity import EncoderIdentity
from mappings.image_roots import ImageRoots
from mappings.lifecycle import ensure_live_index
from queues.broker import redis_client
from queues.rejected_index import check_reason
from queues.task import TASK_FAILED, WORKER_LOST
from queues.transport import Intake

REMEDY = (
    "`nitamono indexer dead-letters list` shows why. Correct the file and index it again; where a photo or a "
    "service failed, `nitamono indexer dead-letters replay --all` sends the listings again."
)

LONGEST_AGE = timedelta(days=36_500)
"""A century. Far longer ones lead to dates before the first year."""


@dataclass(frozen=True)
class Connections:
    """What the commands talk to, each opened when first used."""

    settings: IndexerSettings

    @classmethod
    def open(cls) -> Connections:
        """From the environment."""
        return cls(IndexerSettings.from_environ(os.environ))

    @cached_property
    def producer(self) -> Celery:
        """What sends tasks."""
        return producer(self.settings)

    @cached_property
    def es(self) -> Elasticsearch:
        """A client for the cluster."""
        return connect(self.settings.elasticsearch)

    @cached_property
    def identity(self) -> EncoderIdentity:
        """The encoder that documents are written for."""
        return EncoderIdentity.from_artifact(self.settings.encoder)

    @cached_property
    def redis(self) -> redis.Redis:
        """A client for the Redis of the queue."""
        return redis_client(self.settings.redis_url)

    @property
    def store(self) -> ListingStore:
        """The listings."""
        return ListingStore(self.es, self.settings.prefix, self.identity)

    @property
    def dead_letters(self) -> DeadLetters:
        """The rejected events."""
        return DeadLetters(self.es, self.settings.prefix, self.identity.encoder_id)

    @property
    def parking(self) -> ParkingLot:
        """The events that wait for Elasticsearch."""
        return ParkingLot(self.redis, self.settings.prefix)

    @property
    def intake(self) -> Intake:
        """The queue's messages that no worker can take."""
        return work_queue(self.settings).intake

    def submission(self, *, wait: bool, progress: Callable[[int], object] = lambda _: None) -> Submission:
        """A way to send events."""
        return Submission(self.producer, self.redis, self.settings, wait=wait, progress=progress)


def check_encoding(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """The name of the encoding, if Python knows it.

    Raises:
        click.BadParameter: it does not.
    """
    del ctx, parameter
    if value is not None and not is_text_encoding(value):
        raise click.BadParameter(
            f"{value!r} is not an encoding of text; expected a name such as cp932, euc_jp or latin-1"
        )
    return value


@click.command(name="index")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--root",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder that relative photo paths start from. Workers may read photos below it from now on.",
    show_default="the folder of each file",
)
@click.option("--wait", is_flag=True, help="Wait until every listing is indexed and searchable.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@click.option("--chunk", type=WholeNumber(1, 1000), help="Listings in a message.", show_default="64")
@click.option(
    "--encoding",
    callback=check_encoding,
    help="Encoding of text files without a byte order mark, such as cp932.",
    show_default="UTF-8",
)
def index_command(
    path: Path, root: Path | None, wait: bool, as_json: bool, chunk: int | None, encoding: str | None
) -> None:
    """Index the listings of PATH: a .jsonl, .ndjson, .csv, .tsv or .parquet file, or a folder of such.

    Ends with a summary: how many listings were indexed, indexed without a vector, unchanged, outdated or
    rejected. A listing is indexed without a vector if its photo cannot be used: its price and status are
    current, but similar-item searches do not return it. A rejected row is not indexed; a valid status and
    price still update a stored listing. `nitamono indexer dead-letters list` shows both with their reasons.
    Skipped files of a folder are named.

    The exit status is 1 if there were listings and every one was rejected or has no vector; without --wait,
    if none of them could be sent. After Ctrl-C it is 130, and the command can be run again.
    """
    run = Run(wait)
    try:
        with interruptible():
            run.index(path, root, chunk, encoding)
    except KeyboardInterrupt:
        report_interruption(run, as_json=as_json)
        raise SystemExit(INTERRUPTED) from None
    report(run, path, as_json=as_json)
    settled = wait or run.sent == 0
    if settled and run.summary.total and run.summary.total == run.summary.failed:
        raise SystemExit(1)


@dataclass
class Run:
    """One run of `nitamono index`, and what it has done so far."""

    wait: bool
    skipped_files: tuple[SkippedFile, ...] = ()
    submission: Submission | None = None

    @property
    def sent(self) -> int:
        """Listings put into the queue."""
        return self.submission.sent if self.submission else 0

    @property
    def summary(self) -> IndexingSummary:
        """The summary of the listings that have an outcome."""
        return self.submission.summary if self.submission else IndexingSummary()

    def index(self, path: Path, root: Path | None, chunk: int | None, encoding: str | None) -> None:
        """Checks and sends the files; waits for the listings to be searchable if asked to."""
        connections = Connections.open()
        selection = select(path, encoding)
        self.skipped_files = selection.skipped_files
        allowed = (root or (path if path.is_dir() else path.parent)).resolve()
        rows = sum_of_rows(selection, encoding)
        reading = Reading(selection, root.resolve() if root else None, encoding, rows)
        allow_root(connections.settings.roots, allowed)
        connections.redis.ping()
        ensure_live_index(connections.es, connections.settings.prefix, connections.identity)
        if self.wait:
            warn_without_worker(connections)
        with tqdm(total=reading.rows, unit=" listings", disable=None, smoothing=0.05) as bar:
            self.submission = connections.submission(wait=self.wait, progress=bar.update)
            submit(
                connections, reading, self.submission, chunk or connections.settings.batch_size, bar.update
            )
        if self.wait:
            connections.store.refresh()

    def to_json(self) -> dict[str, Any]:
        """`{"sent": n, "total": n, …, "skipped_files": […]}`."""
        skipped_files = [entry.to_json() for entry in self.skipped_files]
        return {"sent": self.sent} | self.summary.to_json() | {"skipped_files": skipped_files}


@dataclass(frozen=True)
class Reading:
    """The files to read and how: where their relative photo paths start (None: from the file's folder), the
    declared encoding, and about how many rows there are."""

    selection: Selection
    root: Path | None
    encoding: str | None
    rows: int

    def read(self) -> Iterator[Row]:
        """The rows of all files."""
        for file in self.selection.files:
            root = self.root or file.parent.resolve()
            yield from read_rows(file, root, self.encoding, name=self.selection.name_of(file))


def sum_of_rows(selection: Selection, encoding: str | None) -> int:
    """About how many rows the files have. None is sent before it is known that all can be read."""
    return sum(checked_rows_of(file, encoding) for file in selection.files)


@contextmanager
def interruptible() -> Iterator[None]:
    """Makes SIGTERM, by which `timeout` and service managers end a command, the same as Ctrl-C."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def report_interruption(run: Run, *, as_json: bool) -> None:
    """Says what was sent and settled, and how to continue."""
    if as_json:
        click.echo(json.dumps({"interrupted": True} | run.to_json()))
    if not run.sent:
        click.echo("Interrupted: no listing was sent. Run the same command again.", err=True)
        return
    done = f", {run.summary.total:,} of them are processed" if run.wait else ""
    click.echo(
        f"Interrupted: {count_of(run.sent, 'listing')} sent{done}. Workers continue with those. "
        "Run the same command again for the rest: sending a listing twice is harmless.",
        err=True,
    )


def allow_root(roots: ImageRoots, folder: Path) -> None:
    """Lets workers and API read photos below the folder, and says so on stderr where that is new."""
    if folder in roots.allowed():
        return
    if roots.file is not None:
        roots.file.parent.mkdir(parents=True, exist_ok=True)
    roots.allow(folder)
    click.echo(
        f"Workers and API may read photos below {folder} from now on; "
        f"to end that, delete its line in {roots.file}",
        err=True,
    )


def warn_without_worker(connections: Connections) -> None:
    """Says on stderr, if so, that nobody takes the listings yet. They stay in the queue."""
    if not connections.producer.control.ping(timeout=1.0):
        click.echo("No worker answers yet; `make up` starts one. Waiting.", err=True)


def submit(
    connections: Connections,
    reading: Reading,
    submission: Submission,
    chunk: int,
    progress: Callable[[int], object],
) -> None:
    """Send every row, and wait for the results if `submission` does.

    Rows without an event are rejected here and counted in the submission's summary.
    """
    for part in chunked(reading.read(), chunk):
        broken = [row for row in part if row.event is None]
        submission.summary += reject_rows(connections.dead_letters, broken)
        progress(len(broken))
        events = [row.event for row in part if row.event is not None]
        if events:
            submission.send(events)
    submission.finish()


def reject_rows(dead_letters: DeadLetters, rows: Sequence[Row]) -> IndexingSummary:
    """Write a dead letter for each row without an event, and return their summary."""
    dead_letters.write(DeadLetter.of(row.raw, row.reason, row.detail) for row in rows)
    return IndexingSummary(rejected=Counter(row.reason for row in rows))


def report(run: Run, path: Path, *, as_json: bool) -> None:
    """Print the summary, or how many listings were sent, and the skipped files."""
    if as_json:
        click.echo(json.dumps(run.to_json()))
        return
    if not run.sent and not run.summary.total:
        click.echo(f"{path} has no listings.")
    elif not run.wait:
        click.echo(f"Sent {count_of(run.sent, 'listing')} to the queue; workers index them.")
    if run.summary.total:
        click.echo(str(run.summary))
    if run.summary.failed:
        click.echo(REMEDY)
    for entry in run.skipped_files:
        click.echo(f"Skipped {entry}")


@click.group(name="indexer", cls=Group)
@click.pass_context
def group(ctx: click.Context) -> None:
    """Look after what the indexer leaves behind: dead letters, tombstones."""
    ctx.obj = Connections.open()


@group.command(name="sweep")
@click.option("--older-than", default="7d", show_default=True, help="Such as 7d, 12h or 30m.")
@click.pass_obj
def sweep_command(connections: Connections, older_than: str) -> None:
    """Delete the tombstones of listings that were removed long enough ago.

    A tombstone keeps late events of a removed listing from bringing it back. Once it is deleted, such an
    event would; so keep it for longer than events can be late.
    """
    age = parse_age(older_than)
    count = sweep(connections.es, connections.store.indices(), age)
    click.echo(f"deleted {count:,} tombstones older than {older_than}")


def parse_age(text: str) -> timedelta:
    """The time that `7d`, `12h`, `30m` or `45s` stands for.

    Raises:
        click.BadParameter: another form, or longer than anything was ever removed.
    """
    match = re.fullmatch(r"([0-9]{1,6})([dhms])", text)
    if match is None:
        raise click.BadParameter(f"{text!r}; expected a number and d, h, m or s, such as 7d")
    unit = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}[match[2]]
    age = timedelta(**{unit: int(match[1])})
    if age > LONGEST_AGE:
        raise click.BadParameter(f"{text!r}; expected at most {LONGEST_AGE.days:,} days")
    return age


@group.group(name="dead-letters", cls=Group)
def dead_letters_group() -> None:
    """Look at listings that were rejected or have no vector, and send them again."""


reason_option = click.option("--reason", help="Only those with this reason code.")
all_option = click.option("--all", "every", is_flag=True, help="Those of every reason.")


@dead_letters_group.command(name="list")
@reason_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.pass_obj
def list_command(connections: Connections, reason: str | None, as_json: bool) -> None:
    """List rejected listings and those indexed without a vector, oldest first, then those parked while
    Elasticsearch was away and messages that no worker could take."""
    counts: Counter[str] = Counter()
    for entry in entries(connections, reason):
        counts[entry["reason"]] += 1
        click.echo(json.dumps(entry) if as_json else shown(entry))
    if not as_json:
        for name, count in counts.most_common():
            click.echo(f"{count:,} {name}")
        if not counts:
            click.echo("no dead letters")


def entries(connections: Connections, reason: str | None) -> Iterator[dict[str, Any]]:
    """Dead letters, parked events and refused messages in one form."""
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


def shown(entry: dict[str, Any]) -> str:
    """The entry on one line."""
    detail = " ".join(entry["detail"].split())
    return f"{entry['failed_at'][:19]}Z  {entry['reason']}  {entry.get('item_id') or '-'}  {detail[:160]}"


@dead_letters_group.command()
@reason_option
@all_option
@click.pass_obj
def replay(connections: Connections, reason: str | None, every: bool) -> None:
    """Send the listings of dead letters to the indexer again and forget those that are settled now.

    One whose item has a newer event by now counts as older, and is settled. A refused message goes back to
    the queue if a worker can take it now, however late; otherwise it stays.
    """
    check_choice(reason, every)
    check_reason(reason, reasons(connections))
    warn_without_worker(connections)
    summary, unreplayable = replay_letters(connections, reason)
    summary += replay_parked(connections, reason)
    click.echo(str(summary))
    if unreplayable:
        click.echo(
            f"{unreplayable:,} more hold no event that could be sent; `dead-letters drop` removes them"
        )
    for sentence_ in connections.intake.replay(reason).sentences("dead-letters"):
        click.echo(sentence_)


def replay_letters(connections: Connections, reason: str | None) -> tuple[IndexingSummary, int]:
    """The summary of the letters sent again, and how many have no event. Settled ones are removed."""
    letters = list(connections.dead_letters.search(reason))
    sendable = [letter for letter in letters if letter.event is not None]
    summary = settle(connections, [letter.event for letter in sendable])
    # What is rejected again was written again, with a later time.
    now = {letter.id: letter.failed_at for letter in connections.dead_letters.search()}
    settled = [letter for letter in sendable if now.get(letter.id) == letter.failed_at]
    connections.dead_letters.delete(settled)
    return summary, len(letters) - len(sendable)


def replay_parked(connections: Connections, reason: str | None) -> IndexingSummary:
    """The summary of the parked events sent again.

    Those that ended their task or worker go one by one, so that a harmful one harms no neighbour again.
    """
    parked = list(connections.parking.search(reason))
    suspects = [entry.event for entry in parked if entry.reason in {TASK_FAILED, WORKER_LOST}]
    others = [entry.event for entry in parked if entry.reason not in {TASK_FAILED, WORKER_LOST}]
    summary = settle(connections, others) + settle(connections, suspects, chunk=1)
    connections.parking.release([entry.id for entry in parked])
    return summary


def settle(connections: Connections, events: Iterable[Any], chunk: int | None = None) -> IndexingSummary:
    """The summary of the events, once every one has an outcome."""
    submission = connections.submission(wait=True)
    for part in chunked(events, chunk or connections.settings.batch_size):
        submission.send(part)
    return submission.finish()


@dead_letters_group.command()
@reason_option
@all_option
@click.confirmation_option("--yes", prompt="Rejected listings are forgotten for good. Go on?")
@click.pass_obj
def drop(connections: Connections, reason: str | None, every: bool) -> None:
    """Forget rejected listings."""
    check_choice(reason, every)
    check_reason(reason, reasons(connections))
    dropped = list(connections.dead_letters.search(reason))
    connections.dead_letters.delete(dropped)
    parked = [entry.id for entry in connections.parking.search(reason)]
    connections.parking.release(parked)
    refused = connections.intake.refused
    messages = refused.release([message.id for message in refused.search(reason)])
    click.echo(f"dropped {len(dropped) + len(parked) + messages:,}")


def check_choice(reason: str | None, every: bool) -> None:
    """Nothing, if exactly one of the two is chosen.

    Raises:
        click.UsageError: none or both are.
    """
    if every == bool(reason):
        raise click.UsageError("name a --reason, or pass --all")
