"""Durations as parameters of commands."""

from __future__ import annotations

from datetime import timedelta

import click
import pytest
from click.testing import CliRunner, Result

from console.duration import DURATION, Duration


@click.command()
@click.option("--keep", type=DURATION, default="7d", show_default=True)
def command(keep: Duration) -> None:
    """Print a duration."""
    click.echo(f"{keep} {keep.time.total_seconds():.0f}")


def run(*arguments: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(command, arguments)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("7d", timedelta(days=7)),
        ("12h", timedelta(hours=12)),
        ("30m", timedelta(minutes=30)),
        ("0s", timedelta()),
    ],
)
def test_a_duration_is_read_and_shown_as_it_was_given(text: str, time: timedelta) -> None:
    """In one of four units."""
    assert run("--keep", text).output == f"{text} {time.total_seconds():.0f}\n"


def test_the_default_is_one_too() -> None:
    """The help shows it."""
    assert run().output == "7d 604800\n"
    assert "[default: 7d]" in run("--help").output
    assert DURATION.convert(Duration("7d", timedelta(days=7)), None, None).text == "7d"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("soon", "a duration such as 7d"),
        ("7", "a duration such as 7d"),
        ("7w", "a duration such as 7d"),
        ("1.5h", "a duration such as 7d"),
        ("36501d", "at most 36,500 days"),
    ],
)
def test_another_text_is_refused_with_what_is_expected(text: str, expected: str) -> None:
    """And with the name of the option."""
    refused = run("--keep", text)
    assert refused.exit_code == 2
    assert f"Invalid value for '--keep': found '{text}', expected {expected}" in refused.output
