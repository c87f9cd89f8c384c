"""The record of the services that `make up` started."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from settings.errors import InvalidSetting
from settings.services_file import (
    SERVICES,
    recorded_settings,
    same_address,
    with_services,
    without_passwords,
)

RECORD = {
    "ELASTICSEARCH_URL": "http://127.0.0.1:9207",
    "NITAMONO_ES_PORT": "9207",
    "NITAMONO_REDIS_URL": "redis://127.0.0.1:6307/0",
    "NITAMONO_REDIS_PORT": "6307",
    "NITAMONO_INDEX_PREFIX": "demo",
    "NITAMONO_ENCODER_DIR": "/encoders/mobilenet",
    "NITAMONO_REPORTS_DIR": "/reports",
}


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """A state folder whose record has ports other than the defaults."""
    (tmp_path / SERVICES).write_text(json.dumps(RECORD), encoding="utf-8")
    return {"NITAMONO_STATE_DIR": str(tmp_path)}


def test_a_variable_that_is_not_set_is_read_from_the_record(environ: dict[str, str]) -> None:
    """An empty variable counts as not set."""
    assert with_services(environ) == environ | RECORD
    assert with_services(environ | {"ELASTICSEARCH_URL": ""}) == environ | RECORD


def test_a_variable_that_is_set_wins(environ: dict[str, str]) -> None:
    """A URL first, then a port, then the record."""
    url, port = {"ELASTICSEARCH_URL": "http://search:9200"}, {"NITAMONO_ES_PORT": "9555"}
    assert with_services(environ | url)["ELASTICSEARCH_URL"] == "http://search:9200"
    assert with_services(environ | port)["ELASTICSEARCH_URL"] == "http://127.0.0.1:9555"
    assert with_services(environ | port | url)["ELASTICSEARCH_URL"] == "http://search:9200"
    redis = with_services(environ | {"NITAMONO_REDIS_PORT": "6555"})
    assert redis["NITAMONO_REDIS_URL"] == "redis://127.0.0.1:6555/0"


@pytest.mark.parametrize(
    "other",
    [
        {"ELASTICSEARCH_URL": "https://prod:9200"},
        {"ELASTICSEARCH_URL": "http://127.0.0.1:9200"},
        {"ELASTICSEARCH_URL": "http://127.0.0.1:9207,http://prod:9200"},
        {"NITAMONO_ES_PORT": "9555"},
        {"NITAMONO_REDIS_URL": "redis://prod:6379/0"},
        {"NITAMONO_REDIS_URL": "redis://127.0.0.1:6307/1"},
        {"NITAMONO_REDIS_PORT": "6555"},
    ],
)
def test_the_record_of_one_cluster_is_not_mixed_with_another(
    environ: dict[str, str], other: dict[str, str]
) -> None:
    """Otherwise `mappings create --live` on production would use the prefix of the demo."""
    found = with_services(environ | other)
    assert found.items() >= other.items()
    for name in ("NITAMONO_INDEX_PREFIX", "NITAMONO_ENCODER_DIR"):
        assert name not in found
    assert not {"ELASTICSEARCH_URL", "NITAMONO_REDIS_URL"} & {
        name for name in RECORD if found.get(name) == RECORD[name]
    }
    assert found["NITAMONO_REPORTS_DIR"] == "/reports"


@pytest.mark.parametrize(
    "same",
    [
        {"ELASTICSEARCH_URL": "http://127.0.0.1:9207"},
        {"ELASTICSEARCH_URL": "http://localhost:9207/"},
        {"ELASTICSEARCH_URL": "http://elastic:secret@127.0.0.1:9207"},
        {"NITAMONO_ES_PORT": "9207"},
        {"NITAMONO_REDIS_URL": "redis://localhost:6307"},
        {"NITAMONO_REDIS_URL": "redis://:p@ss/word@localhost:6307/0"},
        {"NITAMONO_REDIS_PORT": "6307", "ELASTICSEARCH_URL": ""},
    ],
)
def test_another_form_of_the_recorded_url_keeps_the_record(
    environ: dict[str, str], same: dict[str, str]
) -> None:
    """Also with the password, which is never recorded."""
    found = with_services(environ | same)
    assert found["NITAMONO_INDEX_PREFIX"] == "demo"
    assert found.items() >= {name: value for name, value in same.items() if value}.items()


def test_passwords_are_removed_from_every_url_of_a_list() -> None:
    """Whatever characters they have; the order of a list makes no difference."""
    urls = "https://elastic:a/b@one:9200,https://two:9200"
    assert without_passwords(urls) == "https://one:9200,https://two:9200"
    assert same_address(urls, "https://two:9200, https://one:9200/")


def test_two_state_folders_side_by_side(environ: dict[str, str], tmp_path: Path) -> None:
    """Each has services of its own."""
    other = tmp_path / "other"
    other.mkdir()
    (other / SERVICES).write_text(json.dumps({"ELASTICSEARCH_URL": "http://127.0.0.1:9208"}))
    assert with_services({"NITAMONO_STATE_DIR": str(other)})["ELASTICSEARCH_URL"].endswith(":9208")
    assert with_services(environ)["ELASTICSEARCH_URL"].endswith(":9207")


def test_without_a_record_nothing_changes(tmp_path: Path) -> None:
    """A deployment whose services `make up` did not start."""
    environ = {"NITAMONO_STATE_DIR": str(tmp_path), "ELASTICSEARCH_URL": "http://search:9200"}
    assert with_services(environ) == environ


@pytest.mark.parametrize("text", ["", "{", "[1]", "5", "null"])
def test_an_unreadable_record_is_refused(environ: dict[str, str], text: str) -> None:
    """The message says how to replace it."""
    path = Path(environ["NITAMONO_STATE_DIR"]) / SERVICES
    path.write_text(text)
    with pytest.raises(InvalidSetting, match=r"services\.json.*make up"):
        recorded_settings(environ)


def run(environ: dict[str, str], cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `nitamono` in a folder, without the settings of this shell."""
    command = [sys.executable, "-c", "import cli; cli.main()", *arguments]
    named = ("ELASTICSEARCH_", "NITAMONO_")
    bare = {name: value for name, value in os.environ.items() if not name.startswith(named)}
    quick = {"ELASTICSEARCH_MAX_RETRIES": "0", "PYTHONPATH": str(Path(__file__).parents[3])}
    return subprocess.run(
        command, cwd=cwd, env=bare | environ | quick, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["index", "--help"], 0), (["ml", "--help"], 0), (["ml", "embed"], 2), (["mappings", "list"], 1)],
)
def test_an_unreadable_record_stops_only_what_needs_the_services(
    environ: dict[str, str], tmp_path: Path, arguments: list[str], code: int
) -> None:
    """Help and the commands of `ml` work. Exit status 2 is that of a missing argument."""
    (tmp_path / SERVICES).write_text("{")
    answer = run(environ, tmp_path, *arguments)
    assert (answer.returncode, "services.json" in answer.stderr) == (code, code == 1), answer.stderr


def test_a_command_in_another_folder_asks_the_recorded_server(
    environ: dict[str, str], tmp_path: Path
) -> None:
    """Nothing listens there, so the sentence names the port and how to start it."""
    answer = run(environ, tmp_path, "mappings", "list")
    assert answer.returncode == 1
    assert "9207" in answer.stderr
    assert "start it with `make up`" in answer.stderr
