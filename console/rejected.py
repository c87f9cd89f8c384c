"""What the commands for rejected listings and rejected events share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import click

from console.table import table
from console.text import one_line

SHOWN: Final = 160
"""Characters of a detail that a table shows."""

reason_option = click.option("--reason", help="Only those with this reason code.")
all_option = click.option("--all", "every", is_flag=True, help="Select all, whatever their reason.")


def check_choice(reason: str | None, every: bool) -> None:
    """Check that exactly one of --reason and --all is given.

    Raises:
        click.UsageError: none or both are.
    """
    if every == bool(reason):
        raise click.UsageError("pass either --reason or --all")


def rejected_table(entries: Iterable[Mapping[str, Any]], id_field: str) -> str:
    """Return a table of rejected listings or events, in their order."""
    head = ("REJECTED AT", "REASON", id_field.upper().replace("_", " "), "DETAIL")
    return table(head, (_row(entry, id_field) for entry in entries))


def _row(entry: Mapping[str, Any], id_field: str) -> tuple[str, ...]:
    detail = one_line(entry["detail"], SHOWN)
    return f"{entry['failed_at'][:19]}Z", entry["reason"], entry.get(id_field) or "-", detail
