"""`nitamono index`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import click
from pydantic import ValidationError

from console.group import INTERRUPTED
from console.number_types import WholeNumber
from indexer.commands.dry_run import dry_run as dry_run_of
from indexer.commands.dry_run import print_findings
from indexer.commands.indexing_run import (
    Run,
    counted,
    interruptible,
    preview,
    print_report,
    print_skipped,
    progress_bar,
    report_interruption,
)
from indexer.commands.location import Location
from indexer.intake.guess import guessed_map
from indexer.intake.listing_map import NO_MAP, ListingMap
from indexer.intake.sources.local import FileSource
from indexer.intake.sources.remote import remote_source
from indexer.intake.sources.source import Source
from indexer.intake.value_formats import ValueFormats
from indexer.settings import ProducerSettings
from indexer.summary import IndexingSummary


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
@click.argument("path", type=Location(), required=False)
@click.option(
    "--sql",
    "sql_url",
    metavar="URL",
    help="Database to read with --query, as a URL of SQLAlchemy; ${VARIABLE} in it stands for a variable of "
    "the environment.",
    show_default="NITAMONO_SQL_URL",
)
@click.option("--query", help="Query whose rows are listings.")
@click.option(
    "--since",
    metavar="COLUMN",
    help="Column of the query that only grows, such as updated_at: read only rows from its greatest value of "
    "the last run on.",
)
@click.option(
    "--overlap",
    type=WholeNumber(0, 86_400),
    default=60,
    help="With --since and a time, seconds before that value from which rows are read again.",
    show_default=True,
)
@click.option("--full", is_flag=True, help="With --since, read all rows, as in the first run.")
@click.option(
    "--root",
    type=Location(folder=True),
    help="Folder or URL that relative photo paths start from. It allows workers and API to read photos below "
    "a folder.",
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
    help="TOML file that names the columns and status words.",
)
@click.option("--guess", is_flag=True, help="Print a proposed map, to correct and pass with --map.")
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
    path: Path | str | None,
    sql_url: str | None,
    query: str | None,
    since: str | None,
    overlap: int,
    full: bool,
    root: Path | str | None,
    wait: bool,
    as_json: bool,
    batch_size: int | None,
    map_file: Path | None,
    guess: bool,
    dry_run: bool,
    report: Path | None,
    **formats: str | None,
) -> None:
    """Index the listings of PATH, or those that --query finds in a database.

    PATH is a table, JSON or Excel file, a folder of such, or a folder of photos alone; or the URL of a file
    (s3://, gs://, https://) or of a folder of files (s3://, gs://). Formats: .jsonl, .ndjson, .json, .csv and
    .tsv, also with .gz or .zst; .parquet, .arrow, .feather, .xlsx.

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
    if full and not since:
        raise click.UsageError("--full is for --since")
    run = Run(wait)
    try:
        with interruptible(), source_of(path, sql_url, query, since, overlap, root, rules) as source:
            if guess:
                click.echo(guessed_map(source, rules), nl=False)
                return
            if dry_run:
                check_only(source, rules, report, as_json=as_json)
                return
            run.index(source, rules, batch_size, full=full)
    except KeyboardInterrupt:
        if guess or dry_run:
            raise
        report_interruption(run, as_json=as_json)
        raise SystemExit(INTERRUPTED) from None
    print_report(run, source.name, as_json=as_json)
    if wait or run.sent == 0:
        exit_if_all_failed(run.summary)


@contextmanager
def source_of(
    path: Path | str | None,
    sql_url: str | None,
    query: str | None,
    since: str | None,
    overlap: int,
    root: Path | str | None,
    rules: ListingMap,
) -> Iterator[Source]:
    """Yield what the arguments name.

    Raises:
        click.UsageError: they name nothing, or two things.
        UnreadableSource: it cannot be read.
    """
    if query is None:
        if sql_url or since:
            raise click.UsageError(f"{'--sql' if sql_url else '--since'} needs --query.")
        if path is None:
            raise click.UsageError("Pass PATH, or --sql URL with --query.")
        if isinstance(path, str):
            with remote_source(path, root, rules) as source:
                yield source
        else:
            yield FileSource.at(path, root, rules)
        return
    if path is not None:
        raise click.UsageError("Pass PATH or --query, not both.")
    yield sql_source(sql_url, query, since, overlap, root)


def sql_source(
    sql_url: str | None, query: str, since: str | None, overlap: int, root: Path | str | None
) -> Source:
    """Return the rows of a query.

    Raises:
        click.UsageError: no database is named.
        InvalidSetting: its URL cannot be read.
    """
    # Imported here, since not every installation has SQLAlchemy.
    from indexer.intake.sources.sql import Since, SqlSource  # noqa: PLC0415
    from indexer.intake.sources.sql_url import database_url  # noqa: PLC0415

    text = sql_url or ProducerSettings.from_environ(os.environ).sql_url
    if not text:
        raise click.UsageError("--query needs --sql URL, or NITAMONO_SQL_URL.")
    following = Since(since, timedelta(seconds=overlap)) if since else None
    return SqlSource(database_url(text, os.environ), query, following, root)


def check_only(source: Source, rules: ListingMap, report: Path | None, *, as_json: bool) -> None:
    """Print what a run would refuse, with the exit status of a run with --wait."""
    with progress_bar(preview(source, rules)) as bar:
        found = dry_run_of(counted(source.read(rules), bar.update), report)
    if as_json:
        skipped_files = [entry.to_json() for entry in source.skipped_files]
        click.echo(json.dumps(found.summary.to_json() | {"skipped_files": skipped_files}))
    else:
        print_findings(found, report)
        print_skipped(source.skipped_files)
    exit_if_all_failed(found.summary)


def exit_if_all_failed(summary: IndexingSummary) -> None:
    """Exit with status 1 if there were listings and every one was rejected or has no vector."""
    if summary.total and summary.total == summary.failed:
        raise SystemExit(1)
