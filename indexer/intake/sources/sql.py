"""The rows of a query to a database, read through a server-side cursor."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Connection, CursorResult, Engine, TextClause, create_engine, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.sql import ColumnElement, Executable, Select, bindparam, column, literal_column, select

from indexer.errors import UnreadableSource
from indexer.intake.columns import json_value
from indexer.intake.files import SkippedFile
from indexer.intake.listing_map import ListingMap
from indexer.intake.row import Row
from indexer.intake.sources.source import Preview
from indexer.intake.sources.sql_url import masked
from indexer.intake.sources.watermarks import Watermarks, is_orderable

AT_ONCE: Final = 500
"""Rows that are in memory at once."""

_COLON = re.compile(r":(?=\w)")


@dataclass(frozen=True)
class Since:
    """The column by which a query is read incrementally.

    With the watermark as `:since`, the query becomes
    `SELECT * FROM (QUERY) AS listings WHERE COLUMN >= :since ORDER BY COLUMN`.
    """

    column: str
    overlap: timedelta = timedelta(seconds=60)
    """How far before the watermark a run starts, where it is a time: a transaction that sets the time at its
    start and commits later than others is not missed."""


@dataclass
class SqlSource:
    """The rows of a query."""

    url: URL = field(repr=False)
    query: str
    since: Since | None = None
    root: Path | str | None = None
    """What relative photo paths start from; None to leave them as they are."""
    skipped_files: tuple[SkippedFile, ...] = ()
    _watermarks: Watermarks | None = None
    _start: Any = None
    _position: Any = None

    @property
    def name(self) -> str:
        """The database, without its password."""
        return self.url.render_as_string()

    @property
    def photo_folder(self) -> Path | None:
        """The folder of photos, if there is one."""
        return self.root if isinstance(self.root, Path) else None

    def check(self, rules: ListingMap) -> Preview:
        """Check that the database answers and that the query has the columns of a listing.

        A server-side cursor reads no row before it is asked for one.

        Raises:
            UnreadableSource: one of them is not so.
        """
        with self._result() as result:
            self._check_columns(list(result.keys()), rules)
        return Preview()

    def sample(self, rules: ListingMap) -> Iterator[Row]:
        """Yield the rows by column."""
        with self._result() as result:
            names = list(result.keys())
            wanted = [number for number, name in enumerate(names) if rules.reads(name)]
            following = names.index(self.since.column) if self.since else None
            for number, values in enumerate(streamed(result), 1):
                row = row_of({names[each]: values[each] for each in wanted}, f"row {number}")
                if following is not None and values[following] is not None:
                    self._position = self._orderable(values[following])
                yield row

    def read(self, rules: ListingMap) -> Iterator[Row]:
        """Yield the rows with their events."""
        for row in self.sample(rules):
            event = None if row.event is None else rules.event_of(row.event)
            yield replace(row, event=event).at("query", self.root)

    def continue_from(self, watermarks: Watermarks, *, full: bool) -> str:
        """Read from the watermark on, and keep the next one there. Rows at the watermark itself are read
        again, which is harmless: others with the same value may have come since."""
        if self.since is None:
            return ""
        self._watermarks = watermarks
        start = None if full else watermarks.load(self._identity)
        self._start = start - self.since.overlap if isinstance(start, datetime) else start
        return "" if start is None else f"Reading rows with {self.since.column} from {self._start} on."

    def accepted(self) -> None:
        """Advance the watermark to the last row that was read."""
        if self._watermarks is not None and self._position is not None:
            self._watermarks.save(self._identity, self._position)

    def _orderable(self, value: Any) -> Any:
        if is_orderable(value):
            return value
        raise UnreadableSource(
            f"--since {self.since.column if self.since else ''}: found a value of the type "
            f"{type(value).__name__}, expected a time, a date, a number or text"
        )

    @property
    def _identity(self) -> str:
        """What the watermark belongs to: the database without its password, the query, the column."""
        return "\n".join((self.name, self.query, self.since.column if self.since else ""))

    @cached_property
    def _engine(self) -> Engine:
        try:
            return create_engine(self.url, hide_parameters=True)
        except SQLAlchemyError as error:
            raise self._unreadable(error) from None

    @contextmanager
    def _result(self) -> Iterator[CursorResult[Any]]:
        try:
            with self._engine.connect() as connection:
                yield streaming(connection).execute(self._statement())
        except SQLAlchemyError as error:
            raise self._unreadable(error) from None  # its traceback has the URL
        finally:
            self._engine.dispose()

    def _statement(self) -> Executable:
        own = query_of(self.query)
        if self.since is None:
            return own
        following: ColumnElement[Any] = column(self.since.column)
        table = own.columns(following).subquery("listings")
        statement: Select[Any] = select(literal_column("*")).select_from(table).order_by(following)
        return (
            statement
            if self._start is None
            else statement.where(following >= bindparam("since", self._start))
        )

    def _check_columns(self, names: list[str], rules: ListingMap) -> None:
        if self.since and self.since.column not in names:
            found = ", ".join(names)
            raise UnreadableSource(f"--since {self.since.column}: the query has no such column, but {found}")
        if problem := rules.column_problem(names):
            raise UnreadableSource(f"query: {problem}")

    def _unreadable(self, error: SQLAlchemyError) -> UnreadableSource:
        said = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
        return UnreadableSource(f"{self.name}: {masked(said, self.url)}")


def query_of(query: str) -> TextClause:
    """Return the query as SQLAlchemy takes it: a colon in it begins no parameter, and the line break ends a
    comment at its end."""
    return text(_COLON.sub(r"\:", query.strip().rstrip(";")) + "\n")


def streaming(connection: Connection) -> Connection:
    """Return the connection with a server-side cursor where the database has one, and read-only."""
    options: dict[str, Any] = {"stream_results": True, "max_row_buffer": AT_ONCE}
    if connection.dialect.name == "postgresql":
        options["postgresql_readonly"] = True
    return connection.execution_options(**options)


def streamed(result: CursorResult[Any]) -> Iterator[Any]:
    """Yield the rows of a result, AT_ONCE of them in memory."""
    for part in result.partitions(AT_ONCE):
        yield from part


def row_of(record: dict[str, Any], location: str) -> Row:
    """Return the row with these values as JSON, or why they cannot be read."""
    try:
        return Row({name: json_value(value) for name, value in record.items()}, location=location)
    except (ValueError, OverflowError) as error:
        raw = "; ".join(f"{name}: {value}" for name, value in record.items())
        return Row(None, raw, "row_unreadable", f"{type(error).__name__}: {error}", location)
