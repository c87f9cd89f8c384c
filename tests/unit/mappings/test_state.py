"""Where a command finds the services that `make up` started."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mappings.errors import InvalidSetting
from mappings.state import SERVICES, recorded_settings, with_services

RECORD = {"ELASTICSEARCH_URL": "http://127.0.0.1:9207", "NITAMONO_REDIS_URL": "redis://127.0.0.1:6307/0"}


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """A state folder in which `make up` recorded other ports than the usual."""
    (tmp_path / SERVICES).write_text(json.dumps(RECORD), encoding="utf-8")
    return {"NITAMONO_STATE": str(tmp_path)}


def test_what_the_environment_does_not_name_is_as_recorded(environ: dict[str, str]) -> None:
    """An empty variable names nothing."""
    assert with_services(environ) == environ | RECORD
    assert with_services(environ | {"ELASTICSEARCH_URL": ""}) == environ | RECORD


def test_what_the_environment_names_counts(environ: dict[str, str]) -> None:
    """A URL first, then a port, then the record."""
    url, port = {"ELASTICSEARCH_URL": "http://search:9200"}, {"NITAMONO_ES_PORT": "9555"}
    assert with_services(environ | url)["ELASTICSEARCH_URL"] == "http://search:9200"
    assert with_services(environ | port)["ELASTICSEARCH_URL"] == "http://127.0.0.1:9555"
    assert with_services(environ | port | url)["ELASTICSEARCH_URL"] == "http://search:9200"
    redis = with_services(environ | {"NITAMONO_REDIS_PORT": "6555"})
    assert redis["NITAMONO_REDIS_URL"] == "redis://127.0.0.1:6555/0"


def test_two_state_folders_side_by_side(environ: dict[str, str], tmp_path: Path) -> None:
    """Each has services of its own."""
    other = tmp_path / "other"
    other.mkdir()
    (other / SERVICES).write_text(json.dumps({"ELASTICSEARCH_URL": "http://127.0.0.1:9208"}))
    assert with_services({"NITAMONO_STATE": str(other)})["ELASTICSEARCH_URL"].endswith(":9208")
    assert with_services(environ)["ELASTICSEARCH_URL"].endswith(":9207")


def test_without_a_record_nothing_changes(tmp_path: Path) -> None:
    """A deployment whose services `make up` did not start."""
    environ = {"NITAMONO_STATE": str(tmp_path), "ELASTICSEARCH_URL": "http://search:9200"}
    assert with_services(environ) == environ


@pytest.mark.parametrize("text", ["", "{", "[1]", "5", "null"])
def test_a_record_that_cannot_be_read_is_named(environ: dict[str, str], text: str) -> None:
    """With the way out."""
    path = Path(environ["NITAMONO_STATE"]) / SERVICES
    path.write_text(text)
    with pytest.raises(InvalidSetting, match=r"services\.json.*make up"):
        recorded_settings(environ)


def test_a_command_in_another_folder_asks_the_recorded_server(
    environ: dict[str, str], tmp_path: Path
) -> None:
    """Nothing listens there, so the sentence names the port and how to start it."""
    command = [sys.executable, "-c", "import cli; cli.main()", "mappings", "list"]
    named = ("ELASTICSEARCH_", "NITAMONO_")
    bare = {name: value for name, value in os.environ.items() if not name.startswith(named)}
    quick = {"ELASTICSEARCH_MAX_RETRIES": "0", "PYTHONPATH": str(Path(__file__).parents[3])}
    answer = subprocess.run(
        command, cwd=tmp_path, env=bare | environ | quick, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 1
    assert "9207" in answer.stderr
    assert "start it with `make up`" in answer.stderr
