"""Paths and URLs as parameters of commands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from indexer.object_stores import SCHEMES

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")


class Location(click.Path):
    """An existing file or folder, as a Path, or the URL of one elsewhere, as text."""

    def __init__(self, *, folder: bool = False) -> None:
        super().__init__(exists=True, file_okay=not folder, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path or the URL.

        Raises:
            click.BadParameter: nothing exists there, or the URL has an unknown scheme.
        """
        match = _SCHEME.match(value) if isinstance(value, str) else None
        if match is None:
            return super().convert(value, param, ctx)
        scheme = match[1].lower()
        if scheme not in SCHEMES:
            expected = ", ".join(f"{each}://" for each in SCHEMES)
            step = "; a database is read with --sql and --query" if "sql" in scheme else ""
            self.fail(f"found a URL with {scheme}://, expected a path or {expected}{step}", param, ctx)
        return f"{scheme}://{value[match.end() :]}"
