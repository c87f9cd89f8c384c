"""`nitamono demo run`, which is `make demo`: services, listings, examples and an experiment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import click

from demo.command import succeeds
from demo.examples import example_answers, example_items
from demo.experiment import run_experiment, today, write_definition
from demo.local_services.application import encoder_folder, needs_key
from demo.local_services.errors import ApiNeedsKey
from demo.local_services.progress import Progress
from demo.local_services.settings import ServiceSettings
from demo.local_services.state import StateFolder
from demo.local_services.system import System
from demo.marketplace.folder import LISTINGS, write_marketplace
from query.cli import answer_text

MARKETPLACE_LISTINGS, MARKETPLACE_SEED = 1200, 7
EXAMPLES = 3


@click.command()
@click.option(
    "--data",
    type=click.Path(exists=True, path_type=Path),
    help="Your own listings: a file or a folder that `nitamono index` reads.",
    show_default="a marketplace that is drawn once",
)
def run(*, data: Path | None) -> None:
    """Start everything, index listings, show what is similar to three of them, and run an experiment.

    The experiment has simulated buyers, who know only the drawn marketplace.
    """
    if data is None:
        write_definition(
            StateFolder.open(ServiceSettings.from_environ(os.environ).state).experiments, today()
        )
    system = System.open(os.environ, Progress())
    system.up()
    if needs_key(system.api_url):
        raise ApiNeedsKey
    listings = data or drawn_marketplace(system.state.marketplace)
    for environment in (system.environment, *(arm.environment(system.environment) for arm in system.arms)):
        index(listings, environment)
    show_examples(listings, system.api_url)
    if data is None:
        run_experiment(listings, system.state, system.environment, system.api_url)
    else:
        click.echo("\nNo experiment is run: the simulated buyers know only the drawn marketplace.")
    click.echo(f"\nLook at them: {system.api_url}   (`make down` stops everything)")


def drawn_marketplace(folder: Path) -> Path:
    """Return the file of a marketplace in `folder`, drawn now if it is not there yet."""
    if not (folder / LISTINGS).exists():
        click.echo(f"Drawing {MARKETPLACE_LISTINGS:,} listings with photos into {folder} …")
        write_marketplace(folder, MARKETPLACE_LISTINGS, MARKETPLACE_SEED, force=True)
    return folder / LISTINGS


def index(listings: Path, environment: Mapping[str, str]) -> None:
    """Run `nitamono index` on `listings`, with its progress and summary on the terminal."""
    click.echo(f"Indexing {listings} with {encoder_folder(environment).name} …")
    if not succeeds(("index", str(listings), "--wait"), environment):
        raise click.ClickException(
            "The listings were not indexed. `nitamono indexer dead-letters list` gives the reasons of those "
            "that were rejected, `nitamono demo logs worker` shows the worker's log."
        )


def show_examples(listings: Path, api_url: str) -> None:
    """Print the answers for up to three of the listings."""
    for answer in example_answers(example_items(listings), api_url)[:EXAMPLES]:
        click.echo(f"\n{answer_text(answer)}")
