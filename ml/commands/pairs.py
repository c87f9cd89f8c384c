"""`nitamono ml pairs`."""

import re
from collections.abc import Sequence
from datetime import datetime, time
from pathlib import Path

import click

from console.number_types import WholeNumber
from ml.commands.options import existing, folder, threads_option


def parsed_pattern(
    _ctx: click.Context, _param: click.Parameter, value: str | None
) -> "re.Pattern[str] | None":
    """Parse a regular expression."""
    try:
        return None if value is None else re.compile(value, re.IGNORECASE)
    except re.error as error:
        raise click.BadParameter(f"{value!r} is not a regular expression ({error})") from error


def parsed_instant(_ctx: click.Context, _param: click.Parameter, value: str | None) -> datetime | None:
    """Parse a time; a date without a time means the end of that day."""
    from ml.data.listing_events import instant  # noqa: PLC0415

    if value is None:
        return None
    found = instant(value)
    if found is None:
        raise click.BadParameter(
            f"{value!r} is not a date; expected for example 2026-08-31 or 2026-08-31T12:00Z"
        )
    whole_day = re.fullmatch(r"\d{4}-?\d{2}-?\d{2}", value)
    return datetime.combine(found, time.max, found.tzinfo) if whole_day else found


@click.command()
@click.argument("listings", nargs=-1, required=True, type=existing)
@click.option("--out", type=folder, required=True, help="Folder for the parquet shards and report.json.")
@click.option(
    "--train-until",
    metavar="DATE",
    callback=parsed_instant,
    help="Train on listings created until then (a date includes that day, in UTC); validate and test on "
    "later ones that do not duplicate them.  [default: split each group of duplicates by a hash]",
)
@click.option(
    "--reserved-pattern",
    metavar="REGEX",
    callback=parsed_pattern,
    help="Leave out listings whose title matches, ignoring case.  [default: titles that reserve an item for "
    "one buyer, in English and Japanese]",
)
@click.option(
    "--rows-per-shard", type=WholeNumber(1), default=50_000, show_default=True, help="Rows per file."
)
@threads_option
def pairs(
    *,
    listings: Sequence[Path],
    out: Path,
    train_until: datetime | None,
    reserved_pattern: "re.Pattern[str] | None",
    rows_per_shard: int,
    threads: int,
) -> None:
    """Convert listings to training pairs.

    LISTINGS are JSONL files of listing events; paths of photos are relative to each file. For each item the
    event with the latest updated_at is used, and the last of several with the same time. Listings that are
    reserved, removed, or without a title or a usable photo are left out. Listings with near-identical photos
    or equal titles are in the same split. OUT/report.json has the counts by reason; train with `--data OUT`.
    """
    from ml.data.listing_events import RESERVED_TITLE  # noqa: PLC0415
    from ml.training.write_pair_shards import PairSettings, write_pairs  # noqa: PLC0415

    settings = PairSettings(reserved_pattern or RESERVED_TITLE, train_until, rows_per_shard, threads)
    report = write_pairs(listings, out, settings)
    splits = ", ".join(f"{split} {count:,}" for split, count in report.splits.items())
    click.echo(
        f"{report.read:,} read, {report.pairs:,} pairs ({splits}) in {len(report.shards)} shards of {out}"
    )
    click.echo(
        f"{report.groups:,} groups of duplicates or single photos, the largest of {report.largest_group:,}"
    )
    for reason, count in report.dropped.items():
        click.echo(f"dropped {count:,}: {reason}")
    if not report.splits["train"]:
        click.echo("warning: no training pairs; choose a later --train-until, or add listings", err=True)
