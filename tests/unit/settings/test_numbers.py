"""Numbers in ASCII digits, in settings, parameters and options."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from cli import main
from indexer.settings import IndexerSettings
from mappings.client import ElasticsearchSettings
from query.api.settings import QuerySettings
from settings.errors import InvalidSetting
from settings.numbers import decimal_number, whole_number
from tests.factories import NO_NUMBERS

WHOLE_SETTINGS = {
    "ELASTICSEARCH_MAX_RETRIES": ElasticsearchSettings,
    "NITAMONO_API_PORT": QuerySettings,
    "NITAMONO_API_WORKERS": QuerySettings,
    "NITAMONO_API_THREADS": QuerySettings,
    "NITAMONO_API_ACCESS_LOG": QuerySettings,
    "NITAMONO_BATCH_SIZE": IndexerSettings,
    "NITAMONO_FETCH_MAX_BYTES": IndexerSettings,
    "NITAMONO_FETCH_PORTS": IndexerSettings,
    "NITAMONO_INDEXING_MAX_RETRIES": IndexerSettings,
}
DECIMAL_SETTINGS = {
    "ELASTICSEARCH_TIMEOUT_S": ElasticsearchSettings,
    "NITAMONO_VISIBILITY_TIMEOUT_S": IndexerSettings,
    "NITAMONO_FETCH_DEADLINE_S": IndexerSettings,
}


@given(st.integers(0, 10**17))
def test_digits_are_a_number(number: int) -> None:
    """With decimals or without."""
    assert whole_number(str(number)) == number
    assert decimal_number(f"{number}.25") == number + 0.25


@given(st.text())
def test_anything_but_digits_is_refused(text: str) -> None:
    """Although Python accepts more."""
    try:
        whole_number(text)
    except ValueError:
        return
    assert text
    assert set(text) <= set("0123456789")


@pytest.mark.parametrize("text", [text for text in NO_NUMBERS if text])  # an empty variable is not set
@pytest.mark.parametrize("name", WHOLE_SETTINGS | DECIMAL_SETTINGS)
def test_an_invalid_number_in_a_setting_is_refused(name: str, text: str) -> None:
    """The short message names the variable."""
    if name == "NITAMONO_FETCH_PORTS" and text.strip() != text:  # spaces may stand between ports
        return
    with pytest.raises(InvalidSetting, match=name) as caught:
        (WHOLE_SETTINGS | DECIMAL_SETTINGS)[name].from_environ({name: text})
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("name", WHOLE_SETTINGS)
def test_a_whole_number_has_no_decimals(name: str) -> None:
    """Not even `.0`."""
    with pytest.raises(InvalidSetting, match=name):
        WHOLE_SETTINGS[name].from_environ({name: "5.0"})


@pytest.mark.parametrize("option", ["--size", "--price-ratio"])
@pytest.mark.parametrize("text", ["1_0", "+5", "５", "1e1", "nan"])
def test_the_shell_reads_numbers_as_the_api_does(option: str, text: str) -> None:
    """Before a request to Elasticsearch."""
    result = CliRunner().invoke(main, ["similar", "m1", option, text])
    assert result.exit_code == 2, result.output
    assert "in digits" in result.output


def commands(group: click.Group) -> Iterator[click.Command]:
    """Yield the commands below a group."""
    ctx = click.Context(group)
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        if isinstance(command, click.Group):
            yield from commands(command)
        elif command is not None:
            yield command


NUMERIC = [
    pytest.param(command, parameter, id=f"{command.name} {parameter.opts[0]}")
    for command in commands(main)
    for parameter in command.params
    if isinstance(parameter.type, click.types.IntParamType | click.types.FloatParamType)
]


@pytest.mark.parametrize(("command", "parameter"), NUMERIC)
def test_every_command_reads_numbers_strictly(command: click.Command, parameter: click.Parameter) -> None:
    """Other numbers that Python accepts are refused with a sentence; the help shows the range."""
    with click.Context(command) as ctx:
        for text in NO_NUMBERS:
            with pytest.raises(click.BadParameter, match=r"is not a (whole )?number in digits"):
                parameter.type_cast_value(ctx, (text,) if getattr(parameter, "multiple", False) else text)
        help_text = command.get_help(ctx)
    assert " RANGE" in help_text
    assert re.search(r"x?[<>]=?x?", help_text)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["index", ".", "--batch-size", "1_0"], "'1_0' is not a whole number in digits, such as 24"),
        (["index", ".", "--batch-size", "1001"], "1001 is not in the range 1<=x<=1000"),
        (["experiment", "plan", "x", "--rate", "nan"], "'nan' is not a number in digits, such as 2 or 1.5"),
        (["events", "export", "log", "--wait", "0"], "0.0 is not in the range x>0"),
    ],
)
def test_an_invalid_number_in_an_option_is_refused(arguments: list[str], words: str) -> None:
    """The message repeats it, before the command does anything."""
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert f"Invalid value for '{arguments[-2]}': {words}" in result.output
