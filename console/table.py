"""Tables of commands."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from tabulate import tabulate


def table(head: Sequence[str], rows: Iterable[Sequence[str]], right: Collection[str] = ()) -> str:
    """Return a table in columns two spaces apart, the same in a terminal and a pipe.

    Japanese characters count as two columns.

    Args:
        head: the titles of the columns.
        rows: the cells.
        right: the titles of the columns that are aligned to the right, as numbers are.
    """
    align = ["right" if title in right else "left" for title in head]
    columns = tabulate([*rows], headers=head, tablefmt="plain", disable_numparse=True, colalign=align)
    return str(columns)
