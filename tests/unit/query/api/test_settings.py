"""The settings of the API and of gunicorn."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

import query.api.gunicorn_conf
from mappings.client import ElasticsearchSettings
from query.api.settings import QuerySettings
from settings.errors import InvalidSetting


def test_defaults_listen_on_loopback() -> None:
    """Other machines can connect only if the host is set."""
    settings = QuerySettings.from_environ({})
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert settings.elasticsearch == ElasticsearchSettings()


def test_every_variable_is_read() -> None:
    """Also those of nested groups."""
    settings = QuerySettings.from_environ(
        {
            "NITAMONO_API_HOST": "0.0.0.0",
            "NITAMONO_API_PORT": "9000",
            "NITAMONO_API_WORKERS": "3",
            "NITAMONO_API_THREADS": "5",
            "NITAMONO_API_ACCESS_LOG": "1",
            "NITAMONO_IMAGE_ROOTS": "/srv/photos",
            "NITAMONO_INDEX_PREFIX": "shop",
            "NITAMONO_EXPERIMENTS_DIR": "/srv/experiments",
            "NITAMONO_USER_SALT": "a salt of some length",
        }
    )
    assert (settings.host, settings.port) == ("0.0.0.0", 9000)
    assert (settings.workers, settings.threads, settings.access_log) == (3, 5, True)
    assert settings.image_roots.folders == (Path("/srv/photos"),)
    assert settings.elasticsearch.prefix == "shop"
    assert (settings.experiments, settings.user_salt) == (Path("/srv/experiments"), "a salt of some length")
    assert "a salt of some length" not in repr(settings)


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1", "８０００"])
def test_an_invalid_port_is_refused(port: str) -> None:
    """The message has the value and the range."""
    with pytest.raises(InvalidSetting, match=r"NITAMONO_API_PORT is .* from 1 to 65535"):
        QuerySettings.from_environ({"NITAMONO_API_PORT": port})


def test_gunicorn_is_configured_from_the_same_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """It binds where the settings say, with threads, limits and a graceful end."""
    monkeypatch.setenv("NITAMONO_API_HOST", "127.0.0.9")
    monkeypatch.setenv("NITAMONO_API_PORT", "8123")
    monkeypatch.setenv("NITAMONO_API_WORKERS", "3")
    configured: dict[str, Any] = runpy.run_path(query.api.gunicorn_conf.__file__)
    assert configured["bind"] == "127.0.0.9:8123"
    assert (configured["workers"], configured["worker_class"]) == (3, "gthread")
    assert configured["limit_request_line"] <= 8190
    assert configured["control_socket_disable"] is True


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("NITAMONO_API_PORT", "many", "NITAMONO_API_PORT is 'many', expected a whole number from 1 to 65535"),
        (
            "NITAMONO_RANKING_FILE",
            "/nowhere/r.json",
            "NITAMONO_RANKING_FILE: /nowhere/r.json: No such file or directory",
        ),
        ("NITAMONO_EXPERIMENTS_DIR", "/nowhere", "/nowhere is not a folder"),
    ],
)
def test_gunicorn_does_not_start_with_what_cannot_be_used(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, message: str
) -> None:
    """One line, before there are workers that could only end again."""
    monkeypatch.setenv("NITAMONO_USER_SALT", "0123456789abcdef")
    monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(query.api.gunicorn_conf.__file__)
    assert str(ended.value.code).startswith(f"Error: {message}")
    assert "\n" not in str(ended.value.code)


def test_the_access_log_has_no_query_strings() -> None:
    """Neither of the request nor of the referring page: they may contain a user id."""
    atoms = dict.fromkeys("hlutsba", "-") | {"m": "GET", "U": "/v1/listings/m1/similar", "H": "HTTP/1.1"}
    atoms["{x-request-id}o"] = "0123456789abcdef"
    secret = {"r": "GET /v1/listings/m1/similar?user=u1 HTTP/1.1", "q": "user=u1", "f": "/items/m1?user=u1"}
    line = runpy.run_path(query.api.gunicorn_conf.__file__)["access_log_format"] % (atoms | secret)
    assert "GET /v1/listings/m1/similar HTTP/1.1" in line
    assert "u1" not in line
