"""`nitamono demo`: the whole system on one machine."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime

import click

from console.group import Group, Lazy
from console.number_types import WholeNumber
from console.table import table
from demo.local_services.application import listings_for_sale, needs_key
from demo.local_services.progress import Progress
from demo.local_services.system import ServiceStatus, System

FURTHER_COMMANDS = {
    "contact-sheet": Lazy("demo.contact_sheet:contact_sheet", "Draw items and the items similar to them."),
    "generate": Lazy("demo.marketplace.cli:generate", "Draw a synthetic marketplace."),
    "run": Lazy("demo.run:run", "Set up a demo marketplace and print similar items."),
    "simulate": Lazy("demo.simulation.cli:simulate", "Simulate buyers and write their event log."),
}


@click.group(name="demo", cls=Group, lazy=FURTHER_COMMANDS)
def group() -> None:
    """Run Elasticsearch, Redis, a worker and the API on this machine."""


@group.command()
@click.option(
    "--forget-settings",
    is_flag=True,
    help="Take defaults instead of the settings that the services were last started with.",
)
def up(*, forget_settings: bool) -> None:
    """Start the services that are not running, and wait until all are ready.

    Settings that the environment lacks are those of the last start.
    """
    system = System.open(os.environ, Progress(), forget=forget_settings)
    if system.kept:  # said before they are checked, since an error may be about one of them
        settings = " ".join(f"{name}={value}" for name, value in sorted(system.kept.items()))
        click.echo(f"Settings of the last start: {settings}")
        click.echo("Set one to change it; `nitamono demo up --forget-settings` takes the defaults.")
    started = system.up()
    click.echo(f"{'Ready' if started else 'Already up'}: {system.api_url}")
    if needs_key(system.api_url):
        click.echo("The API has keys and answers nobody without one. `nitamono keys list` shows them.")
    elif not listings_for_sale(system.api_url):
        click.echo("No listing is for sale yet. `nitamono index FILE --wait` indexes some.")


@group.command()
@click.option(
    "--erase-data", is_flag=True, help="Also delete the index, the queue, the marketplace and the logs."
)
def down(*, erase_data: bool) -> None:
    """Stop all services. The worker finishes its current batch first."""
    system = System.open(os.environ, Progress())
    if not system.down():
        click.echo("Nothing was running.")
    if erase_data:
        system.erase()
        click.echo(f"Erased {system.state.path}.")


@group.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(*, as_json: bool) -> None:
    """Show whether each service is ready. The exit status is 1 if one is not.

    A service that ELASTICSEARCH_URL or NITAMONO_REDIS_URL names is external: it is listed but not checked.
    """
    services = System.open(os.environ, Progress()).statuses()
    click.echo(json.dumps([asdict(s) for s in services], default=str) if as_json else _table(services))
    if any(service.state not in ("ready", "external") for service in services):
        raise SystemExit(1)


@group.command()
@click.argument(
    "service", required=False, type=click.Choice(["elasticsearch", "redis", "worker", "events", "api"])
)
@click.option(
    "-n",
    "--lines",
    default=50,
    show_default=True,
    type=WholeNumber(1),
    help="Number of lines of each log.",
)
@click.option("-f", "--follow", is_flag=True, help="Keep printing new lines until Ctrl-C.")
def logs(service: str | None, lines: int, *, follow: bool) -> None:
    """Show the last lines of the log of SERVICE, or of every service."""
    folder = System.open(os.environ, Progress()).state.logs
    files = sorted(folder.glob(f"{service or '*'}.log"))
    if not files:
        raise click.ClickException(f"no log in {folder}; start the services with `make up`")
    subprocess.run(["tail", "-n", str(lines), *(["-f"] if follow else []), *map(str, files)], check=False)


def _table(services: Iterable[ServiceStatus]) -> str:
    head = ("SERVICE", "STATE", "PID", "SINCE", "MEMORY", "URL")
    return table(head, (_row(service) for service in services), right=("PID", "MEMORY"))


def _row(service: ServiceStatus) -> tuple[str, ...]:
    return (
        service.service,
        service.state,
        str(service.pid or "-"),
        _local_time(service.since),
        f"{service.memory_mb} MB" if service.memory_mb else "-",
        service.url or "-",
    )


def _local_time(moment: datetime | None) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S") if moment else "-"
