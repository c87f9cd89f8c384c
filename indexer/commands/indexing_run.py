"""One run of `nitamono index`: rows are sent to the workers, and their results are reported."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click
from tqdm import tqdm

from console.counts import count_of
from indexer.commands.connections import Connections, warn_without_worker
from indexer.intake.files import SkippedFile
from indexer.intake.listing_map import ListingMap
from indexer.intake.row import Row
from indexer.intake.sources.source import Source
from indexer.intake.submission import Submission, chunked
from indexer.summary import Example, IndexingSummary, first_of, problem_in
from indexer.worker.pipeline.dead_letters import DeadLetter, DeadLetters
from mappings.image_roots import ImageRoots
from mappings.lifecycle import ensure_live_index
from mappings.listing import item_id_of

T = TypeVar("T")

REMEDY = (
    "`nitamono indexer dead-letters list` shows why. Correct the source and index it again. If a photo or a "
    "service failed, `nitamono indexer dead-letters replay --all` sends the listings again."
)


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

    def index(self, source: Source, rules: ListingMap, batch_size: int | None, *, full: bool) -> None:
        """Check and send the rows. With `wait`, wait until the listings are searchable."""
        connections = Connections.open()
        self.skipped_files = source.skipped_files
        rows = preview(source, rules)
        if source.photo_folder is not None:
            allow_root(connections.settings.roots, source.photo_folder)
        connections.redis.ping()
        if start := source.continue_from(connections.watermarks, full=full):
            click.echo(start, err=True)
        ensure_live_index(connections.es, connections.settings.prefix, connections.identity)
        if self.wait:
            warn_without_worker(connections)
        with progress_bar(rows) as bar:
            self.submission = connections.submission(wait=self.wait, progress=bar.update)
            size = batch_size or connections.settings.batch_size
            submit(connections, source, rules, self.submission, size, bar.update)
        if self.wait:
            connections.store.refresh()

    def to_json(self) -> dict[str, Any]:
        """Return `{"sent": n, "total": n, …, "skipped_files": […]}`."""
        skipped_files = [entry.to_json() for entry in self.skipped_files]
        return {"sent": self.sent} | self.summary.to_json() | {"skipped_files": skipped_files}


def preview(source: Source, rules: ListingMap) -> int:
    """Check that the source can be read, print what its user should know, and return about how many rows it
    has; 0 if that is unknown."""
    found = source.check(rules)
    for note in found.notes:
        click.echo(note, err=True)
    return found.rows


def progress_bar(rows: int) -> Any:
    """Return a bar of the rows on stderr."""
    return tqdm(total=rows or None, unit=" listings", disable=None, smoothing=0.05)


def counted(rows: Iterable[T], progress: Callable[[int], object]) -> Iterator[T]:
    """Yield the rows, and tell the progress of each."""
    for row in rows:
        yield row
        progress(1)


@contextmanager
def interruptible() -> Iterator[None]:
    """Treat SIGTERM, which `timeout` and service managers send, as Ctrl-C."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def report_interruption(run: Run, *, as_json: bool) -> None:
    """Print what was sent and processed, and how to continue."""
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
    """Allow workers and API to read photos below the folder, and print it on stderr if that is new."""
    if folder in roots.allowed():
        return
    if roots.file is not None:
        roots.file.parent.mkdir(parents=True, exist_ok=True)
    roots.allow(folder)
    click.echo(
        f"Workers and API may now read photos below {folder}. To undo this, delete its line in {roots.file}.",
        err=True,
    )


def submit(
    connections: Connections,
    source: Source,
    rules: ListingMap,
    submission: Submission,
    batch_size: int,
    progress: Callable[[int], object],
) -> None:
    """Send every row, and wait for the results if `submission` does.

    Rows without an event are rejected here and counted in the submission's summary. The source is told that
    its rows are accepted once they are in the queue or, with results, once those are there.
    """
    for part in chunked(source.read(rules), batch_size):
        broken = [row for row in part if row.event is None]
        submission.summary += reject_rows(connections.dead_letters, broken)
        progress(len(broken))
        events = [row.event for row in part if row.event is not None]
        if events:
            rows = {item_id_of(row.event) or "": row.location for row in part if row.event is not None}
            submission.send(events, rows)
        if not submission.wait:
            source.accepted()
    submission.finish()
    source.accepted()


def reject_rows(dead_letters: DeadLetters, rows: Sequence[Row]) -> IndexingSummary:
    """Write a dead letter for each row without an event, and return their summary."""
    dead_letters.write(DeadLetter.of(row.raw, row.reason, row.detail) for row in rows)
    examples: dict[str, list[Example]] = {}
    for row in rows:
        examples.setdefault(row.reason, []).append(
            (row.location, problem_in(row.detail.removeprefix(f"{row.location}: ")))
        )
    return IndexingSummary(rejected=Counter(row.reason for row in rows), examples=first_of(examples))


def print_report(run: Run, source: str, *, as_json: bool) -> None:
    """Print the summary, or how many listings were sent, and the skipped files."""
    if as_json:
        click.echo(json.dumps(run.to_json()))
        return
    if not run.sent and not run.summary.total:
        click.echo(f"{source} has no listings.")
    elif not run.wait:
        click.echo(f"Sent {count_of(run.sent, 'listing')} to the queue; workers index them.")
    if run.summary.total:
        click.echo(str(run.summary))
    if run.summary.failed:
        click.echo(REMEDY)
    print_skipped(run.skipped_files)


def print_skipped(files: Iterable[SkippedFile]) -> None:
    """Print the files of a folder that were not read."""
    for entry in files:
        click.echo(f"Skipped {entry}")
