"""What `make` does before the first Python of ours runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from settings.services_file import REPOSITORY

REQUIREMENTS = ("requirements/demo.txt", "requirements/dev.txt", "requirements/uv.txt", "pyproject.toml")


@pytest.fixture
def clone(tmp_path):
    """A folder with a space in its name: the Makefile and what it looks at, with everything installed."""
    folder = tmp_path / "a clone"
    (folder / ".venv" / "bin").mkdir(parents=True)
    for name in ("Makefile", "demo/local_services/bootstrap.sh", *REQUIREMENTS):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, folder / name)
    for stamp in ("demo", "dev"):
        (folder / ".venv" / f"{stamp}.stamp").touch()
    write_program(folder / ".venv" / "bin" / "nitamono", 'for word in "$@"; do echo "[$word]"; done')
    return folder


def write_program(path, script):
    """Write a shell script that can be run."""
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def make(folder, *words, **environment):
    """Run make in the folder."""
    environ = {"PATH": os.environ["PATH"], **environment}
    return subprocess.run(
        ["make", *words], cwd=folder, env=environ, capture_output=True, text=True, check=False
    )


def bootstrap(folder, pythons, **environment):
    """Run the bootstrap with a PATH that holds these programs alone, and return what it says."""
    path = folder / "path"
    path.mkdir()
    for name, script in pythons.items():
        write_program(path / name, script)
    command = ["/bin/sh", str(REPOSITORY / "demo" / "local_services" / "bootstrap.sh"), "demo"]
    environ = {"PATH": str(path), **environment}
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)


def test_make_without_a_target_lists_every_command(clone):
    """`make` prints the commands and starts nothing."""
    lines = make(clone).stdout.splitlines()
    commands = ["help", "demo", "up", "down", "status", "train", "peers", "test", "lint"]
    assert [line.split()[1] for line in lines] == commands
    assert all(len(line.split()) > 4 for line in lines)


def test_demo_takes_a_path_with_spaces(clone):
    """DATA on the command line reaches the program in one piece."""
    answer = make(clone, "demo", "DATA=my shop/listings of 'May'.jsonl")
    assert answer.stdout == "[demo]\n[run]\n[--data]\n[my shop/listings of 'May'.jsonl]\n"


def test_demo_ignores_a_data_of_the_environment(clone):
    """A variable that happens to be called DATA is not meant for us."""
    assert make(clone, "demo", DATA="/srv/data").stdout == "[demo]\n[run]\n"


@pytest.mark.parametrize("command", ["up", "down", "status"])
def test_each_command_has_its_target(clone, command):
    """make up, down and status are those of `nitamono demo`."""
    assert make(clone, command).stdout == f"[demo]\n[{command}]\n"


def test_changed_requirements_are_installed_again(clone):
    """A newer lock file makes the stamp stale; an untouched one does not."""
    os.utime(clone / "requirements" / "demo.txt", (2**31, 2**31))
    assert "bootstrap.sh demo" in make(clone, "-n", "up").stdout
    assert "bootstrap.sh" not in make(clone, "-n", "test").stdout


def test_without_a_python_the_message_says_how_to_get_one(tmp_path):
    """If every Python is too old, the message says which is needed and how to name another."""
    answer = bootstrap(tmp_path, {"python3": "exit 1", "python3.12": "exit 127"})
    assert answer.returncode == 1
    assert (
        "No Python of 3.11 or later was found: install one (Debian: apt-get install python3" in answer.stderr
    )
    assert "make PYTHON=/path/to/python3" in answer.stderr


def test_an_unusable_python_is_named_in_the_message(tmp_path):
    """PYTHON is an order: the others are not tried."""
    fit = f'exec {sys.executable} "$@"'
    answer = bootstrap(tmp_path, {"python3": fit, "python2": "exit 1"}, PYTHON="python2")
    assert "No Python of 3.11 or later was found as python2" in answer.stderr


def test_a_python_without_venv_is_reported(tmp_path):
    """Debian's python3 without python3-venv gets the name of the package."""
    answer = bootstrap(tmp_path, {"python3.11": 'case "$2" in *ensurepip*) exit 1 ;; esac'})
    assert answer.returncode == 1
    assert (
        "python3.11 lacks the module venv or ensurepip: install it (Debian: apt-get install python3-venv)"
        in (answer.stderr)
    )
