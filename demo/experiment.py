"""The experiment of `make demo`: two encoders, simulated buyers, and the report on them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import click

from demo.command import succeeds
from demo.local_services.arm_encoders import ARTIFACTS, encoder_ids
from demo.local_services.state import StateFolder

NAME: Final = "encoder"
BUYERS: Final = 1000
DAYS: Final = 7
"""Length of the experiment: the API takes events of the last week, and a report reads only whole days."""

DEFINITION: Final = """\
# The experiment of `make demo`. Its buyers are simulated; its slates come from the API.
name = "{name}"
hypothesis = "Buyers tap more on what the fine-tuned encoder finds than on what the pretrained network finds."
primary = "ctr"
start = {start}
planned_weeks = 1
minimum_detectable_effect = 0.2
pre_period_days = 0

[[arms]]
name = "pretrained"
prefix = "pretrained"
encoder = "{control}"
shuffle = 0.05  # one slate in twenty is in random order, to measure position bias

[[arms]]
name = "finetuned"
encoder = "{treatment}"
shuffle = 0.05
"""


def today() -> date:
    """Return today in UTC, the time zone of experiments."""
    return datetime.now(UTC).date()


def write_definition(folder: Path, day: date) -> None:
    """Write the file of the experiment, of the seven days before `day`."""
    encoders = {artifact.name: encoder for encoder, artifact in encoder_ids(ARTIFACTS)}
    text = DEFINITION.format(
        name=NAME,
        start=day - timedelta(days=DAYS),
        control=encoders["efficientnet-lite0"],
        treatment=encoders["siglip-lite"],
    )
    (folder / f"{NAME}.toml").write_text(text, encoding="utf-8")


def run_experiment(listings: Path, state: StateFolder, environment: Mapping[str, str], api_url: str) -> None:
    """Simulate buyers of both arms, and report on them."""
    log, report = state.event_log, state.reports / NAME
    steps = {
        f"{BUYERS:,} simulated buyers look at similar items": (
            *("demo", "simulate", "--api", api_url, "--out", str(log), "--listings", str(listings)),
            *("--users", str(BUYERS), "--days", str(DAYS + 1)),
        ),
        f"Exporting their events to {log}": ("events", "export", str(log), "--wait", "300"),
        "Reading the experiment": (*("experiment", "report", NAME, "--log", str(log), "--out", str(report)),),
    }
    for title, arguments in steps.items():
        click.echo(f"\n{title} …")
        if not succeeds(arguments, environment):
            raise click.ClickException(
                f"`nitamono {' '.join(arguments[:2])}` failed, so there is no report. The services are up."
            )
    click.echo(f"The report: {api_url}/reports/{NAME}")
    click.echo(
        f"The experiment keeps running, so your browser is in one of its arms: add ?arm={NAME}:finetuned or "
        f"?arm={NAME}:pretrained to the address of an item to see either."
    )
