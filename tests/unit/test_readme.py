"""The commands in README.md and docs/ exist, with the options that are shown."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch
from urllib.parse import urlsplit

import click
import pytest

import cli
from mappings.client import connect
from query.api.app import create_app
from query.api.settings import QuerySettings

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# Programs of the reader's own machine: what they are asked to do is checked by their own tests or by reading.
FOREIGN = {"git", "cd", "cp", "docker", "export"}


def shown_commands() -> Iterator[tuple[str, str]]:
    """The lines of all ```sh blocks, with the page they are on; without comments."""
    for page in PAGES:
        for block in re.findall(
            r"^```sh\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
        ):
            for line in block.replace("\\\n", " ").splitlines():
                command = line.split(" #")[0].strip()
                if command and not command.startswith("#"):
                    yield f"{page.relative_to(ROOT)}: {command}", command


def find_command(words: list[str]) -> tuple[click.Command, list[str]]:
    """The click command that the words lead to, and the words left over for it."""
    command: click.Command = cli.main
    context = click.Context(command)
    while isinstance(command, click.Group) and words:
        found = command.get_command(context, words[0])
        assert found is not None, f"no command {words[0]!r}"
        command, words = found, words[1:]
    return command, words


def check_nitamono(words: list[str]) -> None:
    """Check options and arguments; paths need not exist."""
    command, rest = find_command(words)
    with patch.object(click.Path, "convert", lambda _, value, *__: value):
        command.make_context(command.name, rest)


def check_make(words: list[str]) -> None:
    """make knows the target."""
    done = subprocess.run(
        ["make", "--dry-run", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def check_curl(words: list[str]) -> None:
    """The URL is one that the API serves, by that method."""
    method = words[words.index("-X") + 1] if "-X" in words else "GET"
    (url,) = (urlsplit(word) for word in words if word.startswith("http"))
    settings = QuerySettings()
    app = create_app(settings, connect(settings.elasticsearch))
    app.url_map.bind("127.0.0.1").match(url.path, method)


def check_python(words: list[str]) -> None:
    """The script is there."""
    assert (ROOT / words[0]).is_file()


CHECKS = {"nitamono": check_nitamono, "make": check_make, "curl": check_curl, "python": check_python}


@pytest.mark.parametrize("command", [pytest.param(command, id=name) for name, command in shown_commands()])
def test_shown_command_exists(command: str) -> None:
    """It is not a usage error."""
    words = shlex.split(command.split(" | ", maxsplit=1)[0])
    while re.fullmatch(r"[A-Z_]+=\S*", words[0]):
        words.pop(0)
    program = words[0].rsplit("/", 1)[-1]
    if program not in FOREIGN:
        CHECKS[program](words[1:])


WRITES = re.compile(
    r"(?:--(?:out|output|report) | > |events export |^cp \S+ |EXPERIMENTS_DIR=)([a-z.][\w./-]*)"
)


def test_what_shown_commands_write_is_ignored_by_git() -> None:
    """So that the clone stays clean, and nobody commits listings or user ids."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is no clone")
    written = {path for _, command in shown_commands() for path in WRITES.findall(command)}
    assert {"event-log", "ranking.json", "vectors.npy", ".env", "experiment-files", "scores.json"} <= written
    files = [path if Path(path).suffix or path == ".env" else f"{path}/file" for path in sorted(written)]
    files += [path.replace(".npy", ".ids.txt") for path in files if path.endswith(".npy")]
    done = subprocess.run(
        ["git", "check-ignore", "--no-index", *files], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert set(done.stdout.split()) == set(files)


def test_readme_shows_the_two_commands() -> None:
    """`make demo` and `make test`."""
    commands = [command for name, command in shown_commands() if name.startswith("README.md")]
    assert {"make demo", "make test"} <= set(commands)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_have_a_target(page: Path) -> None:
    """Each relative link and picture is a file of the repository."""
    for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
        if not urlsplit(target).scheme:
            assert (page.parent / target).exists(), target


def test_every_setting_is_documented_and_every_documented_one_is_read() -> None:
    """Variables in the code are in docs/settings.md, and those in docs/settings.md are in the code."""
    setting = re.compile(r"(?<![A-Z_])(?:NITAMONO|ELASTICSEARCH)_[A-Z_]+[A-Z]")
    packages = (
        "telemetry",
        "monitoring",
        "settings",
        "mappings",
        "ml",
        "cache",
        "queues",
        "events",
        "indexer",
        "query",
        "calibration",
        "experiments",
        "demo",
        "tests",
    )
    quoted = re.compile(rf"""["'`]({setting.pattern})["'`]""")
    code = [path.read_text() for package in packages for path in (ROOT / package).rglob("*.py")]
    read = {name for text in code for name in quoted.findall(text)}
    documented = set(setting.findall((ROOT / "docs" / "settings.md").read_text()))
    assert documented <= read
    in_product = [path.read_text() for package in packages[:-1] for path in (ROOT / package).rglob("*.py")]
    assert {name for text in in_product for name in quoted.findall(text)} <= documented
    assert set(setting.findall((ROOT / "README.md").read_text())) <= documented
