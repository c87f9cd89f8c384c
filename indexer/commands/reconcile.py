"""`nitamono indexer reconcile`."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Final

import click
from pydantic import TypeAdapter, ValidationError

from console.group import INTERRUPTED
from console.number_types import Number
from indexer.commands.connections import Connections, warn_without_worker
from indexer.commands.index import rules_of, source_of
from indexer.commands.indexing_run import (
    allow_root,
    counted,
    interruptible,
    preview,
    print_skipped,
    progress_bar,
)
from indexer.commands.location import Location
from indexer.commands.reconcile_report import DifferenceTable, print_summary
from indexer.intake.files import SkippedFile
from indexer.intake.listing_map import ListingMap
from indexer.intake.sources.source import Source
from indexer.intake.submission import Submission
from indexer.jobs.expected_items import Expected, Rejected, from_index, from_rows
from indexer.jobs.reconcile import Comparison, Difference, Kind, check_removal
from indexer.summary import IndexingSummary
from mappings.errors import IndexMissing
from mappings.inspection import check_live, indices_behind, read_identity
from mappings.listing import Instant, Status, status_version
from mappings.names import write_alias

DIFFERENT: Final = 3
"""The exit status if differences are left."""
REPAIRED: Final = frozenset({Kind.MISSING, Kind.STALE, Kind.WITHOUT_VECTOR, Kind.WRONG_ENCODER})
"""What --repair indexes again."""


@click.command(name="reconcile")
@click.argument("path", type=Location(), required=False)
@click.option(
    "--sql", "sql_url", metavar="URL", help="Database to read with --query, as for `nitamono index`."
)
@click.option("--query", help="Query whose rows are all listings.")
@click.option("--from-index", "from_", metavar="INDEX", help="Compare with this index instead of PATH.")
@click.option("--index", help="The index to check.", show_default="the one that requests read")
@click.option(
    "--root",
    type=Location(folder=True),
    help="Folder or URL that relative photo paths start from, as for `nitamono index`.",
    show_default="the folder of each file",
)
@click.option(
    "--map",
    "map_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="TOML file that names the columns and status words, as for `nitamono index`.",
)
@click.option("--repair", is_flag=True, help="Index what is missing, stale, or has no usable vector.")
@click.option("--remove-extra", is_flag=True, help="Remove what is for sale in the index only.")
@click.option(
    "--max-extra",
    type=Number(0, 100),
    default=5.0,
    show_default=True,
    help="Remove nothing if more than this percentage of what is for sale is extra.",
)
@click.option(
    "--as-of",
    help="When the source was read, such as 2026-11-29T03:00:00Z. Newer items of the index are not extra.",
    show_default="the newest updated_at in it",
)
@click.option(
    "--ignore",
    "ignored",
    multiple=True,
    type=click.Choice([kind.value for kind in Kind]),
    help="A difference that is reported but does not change the exit status. Repeatable.",
)
@click.option(
    "--report",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write every difference to this CSV file.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@click.pass_obj
def reconcile_command(
    connections: Connections,
    path: Path | str | None,
    sql_url: str | None,
    query: str | None,
    from_: str | None,
    index: str | None,
    root: Path | str | None,
    map_file: Path | None,
    repair: bool,
    remove_extra: bool,
    max_extra: float,
    as_of: str | None,
    ignored: tuple[str, ...],
    report: Path | None,
    as_json: bool,
) -> None:
    """Compare a source of listings with the index, item by item, and repair the index.

    PATH is a file, folder or URL as for `nitamono index`; a database is read with --sql and --query. The
    source must have all listings: what it lacks is extra.

    Differences: missing (in the source only), stale (the row is newer, with other content), extra (for sale
    in the index only), without_vector (its photo could not be used), wrong_encoder, same_time (other content
    at the same updated_at, which no event can repair) and rejected (the row is not valid). Rows that the
    index has in a newer state are no difference.

    The exit status is 0 if there is no difference or all are repaired, 3 if some are left, and 1 after an
    error.
    """
    if from_ is not None and (path is not None or query is not None):
        raise click.UsageError("pass PATH, --query or --from-index, one of them")
    if from_ is not None and not connections.es.indices.exists(index=from_):
        raise IndexMissing(f"no index {from_}; `nitamono mappings list` shows the existing ones")
    rules = rules_of(map_file, {})
    run = Run(connections, target_of(connections, index), repair, remove_extra, max_extra / 100)
    moment = moment_of(as_of) if as_of else None
    started = time.monotonic()
    try:
        with interruptible(), ExitStack() as stack:
            run.table = stack.enter_context(DifferenceTable.writing(report))
            if from_ is not None:
                run.of(from_index(connections.es, from_), 0, moment)
            else:
                source = source_of(path, sql_url, query, None, 0, root, rules)
                run.of_rows(stack.enter_context(source), rules, moment)
    except KeyboardInterrupt:
        click.echo("Interrupted. Run the same command again.", err=True)
        raise SystemExit(INTERRUPTED) from None
    summary = run.to_json() | {"seconds": round(time.monotonic() - started, 1)}
    if as_json:
        click.echo(json.dumps(summary))
    else:
        print_summary(summary, run.table, report)
        print_skipped(run.skipped_files)
    if run.left(ignored):
        raise SystemExit(DIFFERENT)


def target_of(connections: Connections, index: str | None) -> Comparison:
    """Return the comparison with the index to check: that of the name, or the live one.

    Raises:
        IndexMissing, MappingMismatch: there is none, or none for the encoder.
    """
    es, prefix = connections.es, connections.settings.prefix
    if index is None:
        index = check_live(es, prefix, connections.identity)
    return Comparison(es, index, read_identity(es, index).encoder_id)


def moment_of(text: str) -> int:
    """Return the least version of a removal at this instant.

    Raises:
        click.BadParameter: it is no instant.
    """
    try:
        instant = TypeAdapter(Instant).validate_python(text)
    except ValidationError as error:
        expected = "expected an instant with a time zone, such as 2026-11-29T03:00:00Z"
        raise click.BadParameter(f"{text!r}; {expected}", param_hint="--as-of") from error
    return status_version(instant, Status.REMOVED)


@dataclass
class Run:
    """One run of the command, and what it has done so far."""

    connections: Connections
    comparison: Comparison
    repair: bool
    remove_extra: bool
    max_extra: float
    """The largest share of what is for sale that may be removed."""
    table: DifferenceTable = field(default_factory=DifferenceTable)
    skipped_files: tuple[SkippedFile, ...] = ()
    removed: IndexingSummary = field(default_factory=IndexingSummary)
    repaired: IndexingSummary = field(default_factory=IndexingSummary)

    def of_rows(self, source: Source, rules: ListingMap, as_of: int | None) -> None:
        """Compare and repair the listings of files or a database."""
        self.skipped_files = source.skipped_files
        rows = preview(source, rules)
        if self.repair and source.photo_folder is not None:
            allow_root(self.connections.settings.roots, source.photo_folder)
        self.of(from_rows(source.read(rules)), rows, as_of)

    def of(self, items: Iterable[Expected | Rejected], rows: int, as_of: int | None) -> None:
        """Compare and repair items.

        rows: about how many there are; 0 if that is unknown. as_of: when they were read; by default at the
        newest event in them.
        """
        if self.repair or self.remove_extra:
            self._check_writable()
            warn_without_worker(self.connections)
        comparison = self.comparison
        with progress_bar(rows) as bar:
            found = comparison.of_source(counted(items, bar.update))
            self.repaired = self._index(
                chain(found, comparison.unsearchable()), REPAIRED if self.repair else ()
            )
        as_of = as_of or comparison.newest
        for each in comparison.extras(as_of):
            self.table.add(each)
        extra = self.table.counts[Kind.EXTRA]
        if self.remove_extra and extra:
            check_removal(comparison, extra, self.max_extra)
            self.removed = self._submitted(comparison.extras(as_of))
        if self.repair or self.remove_extra:
            self.connections.store.refresh()

    def left(self, ignored: Iterable[str]) -> bool:
        """Return whether there are differences that are neither repaired nor ignored."""
        repaired = REPAIRED if self.repair and not self.repaired.failed else frozenset()
        removed = {Kind.EXTRA} if self.remove_extra and not self.removed.failed else set()
        return bool(self.table.counts.keys() - repaired - removed - set(map(Kind, ignored)))

    def to_json(self) -> dict[str, Any]:
        """Return the counts, the first differences of each kind, and what became of the repairs."""
        comparison = self.comparison
        listed, on_sale, no_photo = comparison.counts()
        return {
            "index": comparison.index,
            "rows": comparison.rows,
            "items": len(comparison.seen),
            "documents": listed,
            "for_sale": on_sale,
            "without_photo": no_photo,
            "newer_in_index": comparison.newer,
            **self.table.to_json(),
            "repaired": self.repaired.to_json() if self.repair else None,
            "removed": self.removed.to_json() if self.remove_extra else None,
        }

    def _index(self, differences: Iterable[Difference], kinds: Iterable[Kind]) -> IndexingSummary:
        """Record the differences, and index those of some kinds again."""
        chosen = frozenset(kinds)
        return self._submitted(each for each in map(self.table.add, differences) if each.kind in chosen)

    def _submitted(self, differences: Iterator[Difference] | Iterable[Difference]) -> IndexingSummary:
        """Send the events of the differences, wait for their outcomes, and return their summary."""
        submission: Submission | None = None
        events: list[Mapping[str, Any]] = []
        for each in differences:
            submission = submission or self.connections.submission(wait=True)
            events += each.events
            if len(events) >= self.connections.settings.batch_size:
                submission.send(events)
                events = []
        if submission is None:
            return IndexingSummary()
        if events:
            submission.send(events)
        return submission.finish()

    def _check_writable(self) -> None:
        """Check that events reach the index.

        Raises:
            IndexMissing: it is not behind the write alias.
        """
        alias, index = write_alias(self.connections.settings.prefix), self.comparison.index
        if index not in indices_behind(self.connections.es, alias):
            raise IndexMissing(
                f"{alias} does not include {index}, so events do not reach it; check it without --repair and "
                f"--remove-extra, or add it with `nitamono mappings swap {index}`"
            )
