"""`nitamono index`."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import click
from pydantic import ValidationError
from tqdm import tqdm

from console.counts import count_of
from console.group import INTERRUPTED
from console.number_types import WholeNumber
from indexer.commands.connections import Connections, warn_without_worker
from indexer.commands.dry_run import dry_run as dry_run_of
from indexer.commands.dry_run import print_findings
from indexer.intake.files import Selection, SkippedFile, checked, read_rows, select
from indexer.intake.guess import guessed_map
from indexer.intake.listing_map import NO_MAP, ListingMap
from indexer.intake.row import Row
from indexer.intake.submission import Submission, chunked
from indexer.intake.value_formats import ValueFormats
from indexer.summary import Example, IndexingSummary, first_of, problem_in
from indexer.worker.pipeline.dead_letters import DeadLetter, DeadLetters
from mappings.image_roots import ImageRoots
from mappings.lifecycle import ensure_live_index
from mappings.listing import item_id_of

REMEDY = (
    "`nitamono indexer dead-letters list` shows why. Correct the file and index it again. If a photo or a "
    "service failed, `nitamono indexer dead-letters replay --all` sends the listings again."
)


def rules_of(file: Path | None, formats: Mapping[str, str | None]) -> ListingMap:
    """Return the map in a file with the formats that options give instead.

    Raises:
        InvalidMap: the file cannot be used.
        click.BadParameter: an option cannot be used.
    """
    rules = ListingMap.load(file) if file else NO_MAP
    given = {name: value for name, value in formats.items() if value is not None}
    try:
        changed = ValueFormats.model_validate(rules.formats.model_dump() | given)
    except ValidationError as error:
        problem = error.errors()[0]
        option = f"--{str(problem['loc'][0]).replace('_', '-')}"
        expected = problem["msg"].removeprefix("Value error, ")
        raise click.BadParameter(
            f"found {problem['input']!r}, expected {expected}", param_hint=option
        ) from error
    return rules.model_copy(update={"formats": changed})


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
    "--map",
    "map_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="TOML file that names the columns and status words of the files.",
)
@click.option("--guess", is_flag=True, help="Print a proposed map of PATH, to correct and pass with --map.")
@click.option("--dry-run", is_flag=True, help="Say what would be refused, row by row; send nothing.")
@click.option(
    "--report",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="With --dry-run, write every problem to this CSV file.",
)
@click.option(
    "--encoding",
    help="Encoding of text files without a byte order mark, such as cp932.",
    show_default="UTF-8, or a Japanese one that is certain",
)
@click.option("--locale", help="Locale of numbers such as 1.290,50, such as de.")
@click.option("--timezone", help="Time zone of times without one, such as Asia/Tokyo.")
@click.option("--category-separator", help="Separator of the levels of a category.", show_default=">")
def index_command(
    path: Path,
    root: Path | None,
    wait: bool,
    as_json: bool,
    batch_size: int | None,
    map_file: Path | None,
    guess: bool,
    dry_run: bool,
    report: Path | None,
    **formats: str | None,
) -> None:
    """Index the listings of PATH: a table, JSON or Excel file, a folder of such, or a folder of photos alone.

    Formats: .jsonl, .ndjson, .json, .csv and .tsv, also with .gz or .zst; .parquet, .arrow, .feather, .xlsx.

    Ends with a summary: how many listings were indexed, indexed without a vector, unchanged, outdated or
    rejected, with the first rows of each reason and what to do. A listing is indexed without a vector if its
    photo cannot be used: its price and status are current, but it appears only in the category-based answers
    to items that have no vector. A rejected row is not indexed; a valid status and price still update a
    stored listing. `nitamono indexer dead-letters list` shows both with their reasons. Skipped files of a
    folder are named.

    The exit status is 1 if there were listings and every one was rejected or has no vector; without --wait,
    if none of them could be sent. After Ctrl-C it is 130, and the command can be run again.
    """
    rules = rules_of(map_file, formats)
    if report and not dry_run:
        raise click.UsageError("--report is for --dry-run")
    if guess:
        click.echo(guessed_map(select(path, rules).files[0], rules), nl=False)
        return
    if dry_run:
        check_only(path, root, rules, report, as_json=as_json)
        return
    run = Run(wait)
    try:
        with interruptible():
            run.index(path, root, batch_size, rules)
    except KeyboardInterrupt:
        report_interruption(run, as_json=as_json)
        raise SystemExit(INTERRUPTED) from None
    print_report(run, path, as_json=as_json)
    if wait or run.sent == 0:
        exit_if_all_failed(run.summary)


def check_only(
    path: Path, root: Path | None, rules: ListingMap, report: Path | None, *, as_json: bool
) -> None:
    """Print what a run would refuse, with the exit status of a run with --wait."""
    reading = Reading.of(select(path, rules), root, rules)
    with tqdm(total=reading.rows or None, unit=" listings", disable=None, smoothing=0.05) as bar:
        found = dry_run_of(counted(reading.read(), bar.update), report)
    if as_json:
        click.echo(json.dumps(found.summary.to_json() | {"skipped_files": reading.skipped_files()}))
    else:
        print_findings(found, report)
        print_skipped(reading.selection.skipped_files)
    exit_if_all_failed(found.summary)


def exit_if_all_failed(summary: IndexingSummary) -> None:
    """Exit with status 1 if there were listings and every one was rejected or has no vector."""
    if summary.total and summary.total == summary.failed:
        raise SystemExit(1)


def counted(rows: Iterable[Row], progress: Callable[[int], object]) -> Iterator[Row]:
    """Yield the rows, and tell the progress of each."""
    for row in rows:
        yield row
        progress(1)


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

    def index(self, path: Path, root: Path | None, batch_size: int | None, rules: ListingMap) -> None:
        """Check and send the files. With `wait`, wait until the listings are searchable."""
        connections = Connections.open()
        selection = select(path, rules)
        self.skipped_files = selection.skipped_files
        reading = Reading.of(selection, root, rules)
        allowed = (root or (path if path.is_dir() else path.parent)).resolve()
        allow_root(connections.settings.roots, allowed)
        connections.redis.ping()
        ensure_live_index(connections.es, connections.settings.prefix, connections.identity)
        if self.wait:
            warn_without_worker(connections)
        with tqdm(total=reading.rows or None, unit=" listings", disable=None, smoothing=0.05) as bar:
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
    """The files to read, the folder of relative photo paths (None: the folder of each file), the map, and the
    approximate number of rows, 0 if it is unknown."""

    selection: Selection
    root: Path | None
    rules: ListingMap
    rows: int

    @classmethod
    def of(cls, selection: Selection, root: Path | None, rules: ListingMap) -> Self:
        """Check that all files can be read, before a row is sent. Print detected encodings."""
        files = [(file, checked(file, rules)) for file in selection.files]
        for file, found in files:
            if found.encoding:
                name = selection.name_of(file)
                click.echo(f"{name} is in {found.encoding}; if it is not, pass --encoding.", err=True)
        rows = [found.rows for _, found in files]
        return cls(selection, root.resolve() if root else None, rules, sum(rows) if all(rows) else 0)

    def read(self) -> Iterator[Row]:
        """Yield the rows of all files."""
        for file in self.selection.files:
            root = self.root or file.parent.resolve()
            yield from read_rows(file, root, self.rules, name=self.selection.name_of(file))

    def skipped_files(self) -> list[dict[str, Any]]:
        """Return the skipped files as JSON."""
        return [entry.to_json() for entry in self.selection.skipped_files]


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
            rows = {item_id_of(row.event) or "": row.location for row in part if row.event is not None}
            submission.send(events, rows)
    submission.finish()


def reject_rows(dead_letters: DeadLetters, rows: Sequence[Row]) -> IndexingSummary:
    """Write a dead letter for each row without an event, and return their summary."""
    dead_letters.write(DeadLetter.of(row.raw, row.reason, row.detail) for row in rows)
    examples: dict[str, list[Example]] = {}
    for row in rows:
        examples.setdefault(row.reason, []).append(
            (row.location, problem_in(row.detail.removeprefix(f"{row.location}: ")))
        )
    return IndexingSummary(rejected=Counter(row.reason for row in rows), examples=first_of(examples))


def print_report(run: Run, path: Path, *, as_json: bool) -> None:
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
    print_skipped(run.skipped_files)


def print_skipped(files: Iterable[SkippedFile]) -> None:
    """Print the files of a folder that were not read."""
    for entry in files:
        click.echo(f"Skipped {entry}")
