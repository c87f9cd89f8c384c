"""The differences that `nitamono indexer reconcile` finds, as a table, as CSV, and in sentences."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import click

from console.counts import count_of
from console.table import table
from console.text import cut
from indexer.commands.dry_run import as_text
from indexer.jobs.reconcile import MEANING, Difference, Kind
from indexer.summary import IndexingSummary
from mappings.problems import printable

EXAMPLES: Final = 3
LONGEST_DETAIL: Final = 90
HEAD: Final = ("difference", "item_id", "row", "detail")


@dataclass
class DifferenceTable:
    """The numbers of differences by kind and the first of each kind; all of them go to a CSV file."""

    counts: Counter[Kind] = field(default_factory=Counter)
    first: dict[Kind, list[Difference]] = field(default_factory=dict)
    _rows: Any = None

    @classmethod
    @contextmanager
    def writing(cls, report: Path | None) -> Iterator[Self]:
        """Yield a table whose differences are written to a file, if one is given."""
        if report is None:
            yield cls()
            return
        # Excel takes UTF-8 for the code page of its machine unless there is a byte order mark.
        with report.open("w", encoding="utf-8-sig", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(HEAD)
            yield cls(_rows=rows)

    def add(self, difference: Difference) -> Difference:
        """Count a difference, and return it."""
        self.counts[difference.kind] += 1
        first = self.first.setdefault(difference.kind, [])
        if len(first) < EXAMPLES:
            first.append(difference)
        if self._rows is not None:
            self._rows.writerow(tuple(map(as_text, _cells(difference))))
        return difference

    def to_json(self) -> dict[str, Any]:
        """Return `{"missing": 2, …, "examples": {"missing": [{"item_id": …, "row": …, "detail": …}]}}`."""
        examples = {
            kind.value: [dict(zip(HEAD[1:], _cells(each)[1:], strict=True)) for each in self.first[kind]]
            for kind in Kind
            if kind in self.first
        }
        return {kind.value: self.counts[kind] for kind in Kind} | {"examples": examples}


def print_summary(summary: Mapping[str, Any], found: DifferenceTable, report: Path | None) -> None:
    """Print the differences with their first items, and what became of the repairs."""
    rows = [
        (kind.value if place == 0 else "", f"{found.counts[kind]:,}" if place == 0 else "", *_shown(each))
        for kind in Kind
        for place, each in enumerate(found.first.get(kind, ()))
    ]
    if rows:
        click.echo(table(("difference", "items", "item", "detail"), rows, right=("items",)))
        click.echo()
        for kind in Kind:
            if found.counts[kind]:
                click.echo(f"{kind.value}: {MEANING[kind]}.")
    compared = f"{count_of(summary['rows'], 'row')} compared with {summary['index']}"
    click.echo(f"{compared} in {summary['seconds']:,} s: {_counted(found)}.")
    listings = f"{count_of(summary['documents'], 'listing')}, {summary['for_sale']:,} for sale"
    click.echo(f"The index has {listings}, {summary['without_photo']:,} without photos.")
    if summary["newer_in_index"]:
        click.echo(
            f"{count_of(summary['newer_in_index'], 'row')} older than the index, which is no difference."
        )
    for name, title in (("repaired", "Repair"), ("removed", "Removal of extra items")):
        if summary[name] is not None:
            click.echo(f"{title}: {IndexingSummary.from_json(summary[name])}")
    if report:
        click.echo(f"{report} has every difference.")


def _counted(found: DifferenceTable) -> str:
    counts = [f"{found.counts[kind]:,} {kind.value}" for kind in Kind if found.counts[kind]]
    return ", ".join(counts) or "no difference"


def _shown(difference: Difference) -> tuple[str, str]:
    _, item_id, _, detail = _cells(difference)
    return item_id, cut(detail, LONGEST_DETAIL)


def _cells(difference: Difference) -> tuple[str, str, str, str]:
    cells = (difference.kind.value, difference.item_id, difference.location, difference.detail)
    kind, item_id, location, detail = (printable(" ".join(cell.split())) for cell in cells)
    return kind, item_id, location, detail
