"""The group of all commands: help, lazy commands, errors."""

from __future__ import annotations

import sys

import click
import pytest
import redis
from click.testing import CliRunner, Result
from elastic_transport import ConnectionError as NoConnection
from elastic_transport import ConnectionTimeout
from kombu.exceptions import OperationalError

from cli import COMMANDS, main
from console.group import Group, Lazy
from demo.cli import FURTHER_COMMANDS as DEMO
from experiments.cli import FURTHER_COMMANDS as EXPERIMENT
from indexer.intake.submission import QueueUnavailable
from mappings.failures import ElasticsearchUnavailable
from ml.cli import COMMANDS as ML
from settings.errors import InvalidSetting

LAZY = [
    pytest.param(lazy, id=lazy.target)
    for lazies in (COMMANDS, DEMO, EXPERIMENT, ML)
    for lazy in lazies.values()
]


def ending_with(error: BaseException, environ: dict[str, str] | None = None) -> Result:
    """The result of a command that raises the error, in a group of a group."""

    @click.group(cls=Group)
    def outer() -> None:
        """The outer group."""

    @outer.group(cls=Group)
    def inner() -> None:
        """The inner group."""

    @inner.command()
    def fail() -> None:
        """Fail."""
        raise error

    return CliRunner().invoke(outer, ["inner", "fail"], env=environ)


def unavailable(cause: Exception | None) -> ElasticsearchUnavailable:
    """What a store raises."""
    error = ElasticsearchUnavailable("elasticsearch_unavailable", "no answer")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (InvalidSetting("SIZE is 'x'"), "SIZE is 'x'"),
        (
            NoConnection("refused"),
            "Elasticsearch does not answer at http://search:9200 (refused); start it with `make up` or set "
            "ELASTICSEARCH_URL",
        ),
        (
            unavailable(NoConnection("refused")),
            "Elasticsearch does not answer at http://search:9200 (refused); start it with `make up` or set "
            "ELASTICSEARCH_URL",
        ),
        (
            unavailable(ConnectionTimeout("Connection timed out")),
            "Elasticsearch at http://search:9200 did not answer in time (Connection timed out); raise "
            "ELASTICSEARCH_TIMEOUT_S, or reduce the load on the cluster",
        ),
        (unavailable(None), "elasticsearch_unavailable: no answer"),
        (
            QueueUnavailable("Redis does not answer (refused); start it"),
            "Redis does not answer (refused); start it",
        ),
        (
            redis.ConnectionError("refused"),
            "Redis does not answer (refused); start it with `make up` or set NITAMONO_REDIS_URL",
        ),
        (
            redis.AuthenticationError("invalid password"),
            "Redis rejected the request: invalid password",
        ),
        (
            OperationalError("refused"),
            "Redis does not answer (refused); start it with `make up` or set NITAMONO_REDIS_URL",
        ),
        (
            ModuleNotFoundError("No module named 'torch'", name="torch"),
            "torch is not installed, and this command needs it: run `make train`",
        ),
        (
            ModuleNotFoundError("No module named 'scipy.stats'", name="scipy.stats"),
            "scipy.stats is not installed, and this command needs it: install requirements/analysis.txt",
        ),
    ],
)
def test_an_error_that_a_user_can_correct_is_one_sentence(error: Exception, sentence: str) -> None:
    """The exit status is 1. A URL is shown without its password."""
    environ = {"ELASTICSEARCH_URL": "http://elastic:hush@search:9200", "NITAMONO_REDIS_URL": ""}
    result = ending_with(error, environ)
    assert (result.exit_code, result.output) == (1, f"Error: {sentence}\n")


@pytest.mark.parametrize("error", [KeyError("bug"), ModuleNotFoundError("no", name="query.nothing")])
def test_a_fault_of_the_program_keeps_its_traceback(error: Exception) -> None:
    """It must not look like a mistake of the user."""
    assert ending_with(error).exception is error


def test_ctrl_c_ends_with_the_status_of_shells() -> None:
    """130, without a traceback."""
    result = ending_with(KeyboardInterrupt())
    assert (result.exit_code, result.output) == (130, "Interrupted.\n")


@pytest.mark.parametrize("error", [click.UsageError("no"), click.Abort()])
def test_errors_of_click_stay_as_they_are(error: Exception) -> None:
    """Usage errors have exit status 2, a declined question 1."""
    assert ending_with(error).exit_code == getattr(error, "exit_code", 1)


@pytest.mark.parametrize("lazy", LAZY)
def test_a_lazy_command_can_be_imported(lazy: Lazy) -> None:
    """And its summary is a sentence."""
    assert isinstance(lazy.load(), click.Command)
    assert lazy.summary.endswith(".")


def test_help_lists_all_commands_without_importing_them() -> None:
    """Those that are imported at once are listed by their own help."""
    group = Group(
        commands={"now": click.Command("now", help="Do it now.")}, lazy={"later": Lazy("no:no", "Later.")}
    )
    output = CliRunner().invoke(group, ["--help"]).output
    assert output.index("later  Later.") < output.index("now    Do it now.")
    assert "no" not in sys.modules


def test_an_unknown_command_is_a_usage_error() -> None:
    """With the name that was typed."""
    result = CliRunner().invoke(main, ["simlar"])
    assert result.exit_code == 2
    assert "No such command 'simlar'" in result.output
