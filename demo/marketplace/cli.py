"""`nitamono demo generate`: a synthetic marketplace in a folder."""

from pathlib import Path
from time import perf_counter

import click

from console.number_types import WholeNumber
from demo.marketplace.folder import write_marketplace
from demo.marketplace.random_source import SEED


@click.command()
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to write to."
)
@click.option(
    "--count", type=WholeNumber(1, 9_999_999), default=2000, show_default=True, help="Number of listings."
)
@click.option(
    "--seed", type=SEED, default=7, show_default=True, help="The same seed gives the same marketplace."
)
@click.option(
    "--photo-size",
    type=WholeNumber(32, 2048),
    default=320,
    show_default=True,
    help="Width and height in pixels.",
)
@click.option("--no-photos", is_flag=True, help="Write listings.jsonl only.")
@click.option("--force", is_flag=True, help="Replace the marketplace in OUT; other files there stay.")
def generate(*, out: Path, count: int, seed: int, photo_size: int, no_photos: bool, force: bool) -> None:
    """Write a synthetic marketplace: listings.jsonl and images/<id>-<n>.jpg."""
    started = perf_counter()
    try:
        written = write_marketplace(out, count, seed, photo_size, photos=not no_photos, force=force)
    except OSError as error:
        raise click.ClickException(str(error)) from error
    took = perf_counter() - started
    click.echo(f"{out}: {written.listings:,} listings, {written.photos:,} photos in {took:.1f} s")
