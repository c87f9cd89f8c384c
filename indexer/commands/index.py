"""`nitamono index`."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from console.counts import count_of
from console.group import INTERRUPTED
from console.number_types import WholeNumber
from indexer.commands.connections import Connections, warn_without_worker
from indexer.intake.files import Selection, SkippedFile, checked_rows_of, is_text_encoding, read_rows, select
from indexer.intake.row import Row
from indexer.intake.submission import Submission, chunked
from indexer.summary import IndexingSummary
from indexer.worker.pipeline.dead_letters import DeadLetter, DeadLetters
from mappings.image_roots import ImageRoots
from mappings.lifecycle import ensure_live_index

REMEDY = (
    "`nitamono indexer dead-letters list` shows why. Correct the file and index it again. If a photo or a "
    "service failed, `nitamono indexer dead-letters replay --all` sends the listings again."
)


def check_encoding(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Return the name of the encoding, if Python has it.

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
    help="Folder that relative photo paths start from. It allows workers and API to read photos below it.",
    show_default="the folder of each file",
)
@click.option("--wait", is_flag=True, help="Wait until every listing is indexed and searchable.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@click.option(
    "--batch-size",
    type=WholeNumber(1, 1000),
    help="Listings in one message.",
    show_default="NITAMONO_BATCH_SIZE, or 64",
)
@click.option(
    "--encoding",
    callback=check_encoding,
    help="Encoding of text files without a byte order mark, such as cp932.",
    show_default="UTF-8",
)
def index_command(
    path: Path, root: Path | None, wait: bool, as_json: bool, batch_size: int | None, encoding: str | None
) -> None:
    """Index the listings of PATH: a .jsonl, .ndjson, .csv, .tsv or .parquet file, or a folder of such.

    Ends with a summary: how many listings were indexed, indexed without a vector, unchanged, outdated or
    rejected. A listing is indexed without a vector if its photo cannot be used: its price and status are
    current, but it appears only in the category-based answers to items that have no vector. A rejected row is
    not indexed; a valid status and price still update a stored listing. `nitamono indexer dead-letters list`
    shows both with their reasons. Skipped files of a folder are named.

    The exit status is 1 if there were listings and every one was rejected or has no vector; without --wait,
    if none of them could be sent. After Ctrl-C it is 130, and the command can be run again.
    """
    run = Run(wait)
    try:
        with interruptible():
            run.index(path, root, batch_size, encoding)
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

    def index(self, path: Path, root: Path | None, batch_size: int | None, encoding: str | None) -> None:
        """Check and send the files. With `wait`, wait until the listings are searchable."""
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
            size = batch_size or connections.settings.batch_size
            submit(connections, reading, self.submission, size, bar.update)
        if self.wait:
            connections.store.refresh()

    def to_json(self) -> dict[str, Any]:
        """Return `{"sent": n, "total": n, …, "skipped_files": […]}`."""
        skipped_files = [entry.to_json() for entry in self.skipped_files]
        return {"sent": self.sent} | self.summary.to_json() | {"skipped_files": skipped_files}


@dataclass(frozen=True)
class Reading:
    """The files to read, the folder of relative photo paths (None: the folder of each file), the declared
    encoding, and the approximate number of rows."""

    selection: Selection
    root: Path | None
    encoding: str | None
    rows: int

    def read(self) -> Iterator[Row]:
        """Yield the rows of all files."""
        for file in self.selection.files:
            root = self.root or file.parent.resolve()
            yield from read_rows(file, root, self.encoding, name=self.selection.name_of(file))


def sum_of_rows(selection: Selection, encoding: str | None) -> int:
    """Check that all files can be read, before a row is sent, and return about how many rows they have."""
    return sum(checked_rows_of(file, encoding) for file in selection.files)


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
    reading: Reading,
    submission: Submission,
    batch_size: int,
    progress: Callable[[int], object],
) -> None:
    """Send every row, and wait for the results if `submission` does.

    Rows without an event are rejected here and counted in the submission's summary.
    """
    for part in chunked(reading.read(), batch_size):
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
