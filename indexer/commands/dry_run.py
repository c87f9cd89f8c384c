"""`nitamono index --dry-run`: what a run would refuse, row by row, without services."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import click

from console.table import table
from console.text import one_line
from indexer.intake.row import Row
from indexer.summary import IndexingSummary, first_of, problem_in, row_name
from indexer.worker.pipeline.chunk import UNEXPECTED_JSON
from mappings.changes import OPERATION, PUT, UPDATE, Change, parse_event
from mappings.errors import InvalidListing, Problem
from mappings.image_roots import is_in_bucket, is_remote
from mappings.listing import Listing, Status, item_id_of
from mappings.problems import printable
from mappings.remedies import remedy

MOST_SHOWN: Final = 100
"""Lines of the table on the terminal; the report has all."""
LONGEST_CELL: Final = 90


class Finding(NamedTuple):
    """One thing that is wrong with a row."""

    row: str
    item_id: str
    outcome: str
    reason: str
    problem: str
    remedy: str


@dataclass
class DryRun:
    """What was found so far."""

    summary: IndexingSummary = field(default_factory=IndexingSummary)
    shown: list[Finding] = field(default_factory=list)
    findings: int = 0
    without_price: int = 0

    def add(self, row: Row) -> list[Finding]:
        """Count a row, and return what is wrong with it."""
        parsed, found = checked(row)
        self.without_price += isinstance(parsed, Listing) and parsed.price is None
        self.summary += outcome_of(found)
        self.findings += len(found)
        self.shown += found[: MOST_SHOWN - len(self.shown)]
        return found


def dry_run(rows: Iterable[Row], report: Path | None) -> DryRun:
    """Check every row as a worker would, and write what is wrong to the report as CSV."""
    run = DryRun()
    with ExitStack() as stack:
        write = None
        if report is not None:
            # Excel takes UTF-8 for the code page of its machine unless there is a byte order mark.
            file = stack.enter_context(report.open("w", encoding="utf-8-sig", newline=""))
            write = csv.writer(file)
            write.writerow(Finding._fields)
        for row in rows:
            found = run.add(row)
            if write is not None:
                write.writerows(tuple(map(as_text, each)) for each in found)
    return run


def as_text(cell: str) -> str:
    """Return the text of a CSV cell, which a spreadsheet must not take for a formula."""
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


def checked(row: Row) -> tuple[Listing | Change | None, list[Finding]]:
    """Return the listing or change in a row, and what is wrong with it."""
    if row.event is None:
        detail = problem_in(row.detail.removeprefix(f"{row.location}: "))
        problems = [*_named(row.problems)] or [(row.reason, detail)]
        return None, _findings(row, "", "rejected", problems)
    item_id = item_id_of(row.event) or ""
    try:
        parsed = parse_event(row.event)
    except InvalidListing as failure:
        problems = [*_named(failure.problems), *photo_problems(row.event)]
        return None, _findings(row, item_id, "rejected", problems)
    except UNEXPECTED_JSON as error:
        return None, _findings(row, item_id, "rejected", [("event_unreadable", str(error))])
    return parsed, _findings(row, item_id, "no vector", photo_problems(row.event))


def photo_problems(event: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the reason for which a listing would have no vector, and what is wrong. Photos at URLs and in
    buckets are not fetched."""
    operation = event.get(OPERATION)
    if event.get("status") == Status.REMOVED or operation not in (None, PUT, UPDATE):
        return
    if operation == UPDATE and "images" not in event:
        return
    match event.get("images"):
        case None | []:
            yield "no_photo", "the listing has no photo"
        case [str(first), *_] if not (is_remote(first) or is_in_bucket(first) or Path(first).is_file()):
            yield "photo_not_found", f"found no file {first!r}"


def outcome_of(found: list[Finding]) -> IndexingSummary:
    """Return the summary of one row: it is counted under the first reason."""
    if not found:
        return IndexingSummary(indexed=1)
    first = found[0]
    reasons = Counter([first.reason])
    examples = first_of({first.reason: [(row_name(first.row, first.item_id), first.problem)]})
    if first.outcome == "rejected":
        return IndexingSummary(rejected=reasons, examples=examples)
    return IndexingSummary(without_vector=reasons, examples=examples)


def print_findings(run: DryRun, report: Path | None) -> None:
    """Print the table of findings and the summary."""
    if run.shown:
        head = ("row", "item", "outcome", "reason", "problem")
        rows = [tuple(one_line(cell, LONGEST_CELL) for cell in each[:5]) for each in run.shown]
        click.echo(table(head, rows))
        if run.findings > len(run.shown):
            rest = f"and {run.findings - len(run.shown):,} more"
            click.echo(f"… {rest}{'' if report else '; --report FILE writes all as CSV'}")
        click.echo()
    click.echo(f"Dry run, nothing was sent: {run.summary}")
    click.echo("Photos at URLs and in buckets were not fetched.")
    if run.without_price:
        click.echo(f"Without a price: {run.without_price:,}. Answers to them have no price band.")
    if report:
        click.echo(f"{report} has every row that has a problem.")


def _named(problems: Iterable[Problem]) -> Iterator[tuple[str, str]]:
    return ((each.reason, str(each)) for each in problems)


def _findings(row: Row, item_id: str, outcome: str, problems: Iterable[tuple[str, str]]) -> list[Finding]:
    rows = ((row.location, item_id, outcome, *problem, remedy(problem[0])) for problem in problems)
    return [Finding(*map(printable, texts)) for texts in rows]
