"""Access to a server over HTTP: it refuses to start without keys, takes them, and limits requests."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from elasticsearch import Elasticsearch
from flask.testing import FlaskClient

from mappings.client import ElasticsearchSettings
from query.access.keys import key_id
from query.access.roles import Role
from query.access.store import create_key, revoke_key
from query.api.app import create_app
from query.api.middleware.settings import AccessSettings, networks
from query.api.server import GUNICORN
from query.api.settings import QuerySettings
from tests.conftest import RunningService, bare_environ
from tests.free_port import free_port

NOW = datetime.now(UTC)


@pytest.fixture
def environ(elasticsearch_url: str, redis_url: str, index_prefix: str) -> dict[str, str]:
    """The environment of a server that other machines reach."""
    return {
        **bare_environ(),
        "ELASTICSEARCH_URL": elasticsearch_url,
        "NITAMONO_REDIS_URL": redis_url,
        "NITAMONO_INDEX_PREFIX": index_prefix,
        "NITAMONO_API_HOST": "0.0.0.0",
        "NITAMONO_API_PORT": str(free_port()),
        "NITAMONO_API_WORKERS": "2",
        "NITAMONO_API_ACCESS_LOG": "1",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }


@contextmanager
def gunicorn(environ: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """The API behind gunicorn."""
    process = subprocess.Popen(
        [sys.executable, "-m", *GUNICORN],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def status(environ: dict[str, str], path: str, key: str | None = None) -> int:
    """The status of an answer; 0 while nothing listens."""
    url = f"http://127.0.0.1:{environ['NITAMONO_API_PORT']}{path}"
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def send_raw(environ: dict[str, str], request: str) -> None:
    """Send something that need not be HTTP, and read the answer."""
    with socket.create_connection(("127.0.0.1", int(environ["NITAMONO_API_PORT"])), timeout=10) as connection:
        connection.sendall(request.encode())
        connection.recv(4096)


def wait_for(
    expected: int, environ: dict[str, str], path: str, key: str | None = None, *, within: float
) -> None:
    """Wait until both processes of the server answer with a status."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        if all(status(environ, path, key) == expected for _ in range(12)):
            return
        time.sleep(0.1)
    pytest.fail(f"{path} did not answer with {expected} within {within} s")


def test_a_server_that_others_reach_needs_a_key_and_says_how_to_create_one(
    environ: dict[str, str], es: Elasticsearch, index_prefix: str
) -> None:
    """Then it starts, and a revoked key is refused by all its processes within five seconds."""
    with gunicorn(environ) as refused:
        output, _ = refused.communicate(timeout=60)
    assert refused.returncode == 1
    assert (
        "Error: NITAMONO_API_HOST is 0.0.0.0, so other machines reach this server, and no API key" in output
    )
    assert "`nitamono keys create --role operate NAME`" in output
    code = "import cli, sys; sys.argv[1:] = ['keys', 'create', '--role', 'operate', 'me']; cli.main()"
    created = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True
    )
    key = created.stdout.strip()
    with gunicorn(environ) as process:
        wait_for(200, environ, "/reports", key, within=30)
        assert status(environ, "/reports") == 401
        assert status(environ, "/v1/listings") == 401
        assert status(environ, "/healthz") == 200
        assert status(environ, f"/v1/{key}", key) == 404
        send_raw(environ, f"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization Bearer {key}\r\n\r\n")
        revoke_key(es, index_prefix, key_id(key) or "", NOW)
        wait_for(401, environ, "/reports", key, within=5)
        process.terminate()
        output, _ = process.communicate(timeout=30)
    assert '"GET /reports HTTP/1.1" 200' in output
    assert "/v1/nitamono_[redacted]" in output
    assert "Invalid HTTP Header: 'Authorization Bearer nitamono_[redacted]'" in output
    assert key[22:] not in output


def test_with_public_reads_it_starts_and_warns(environ: dict[str, str]) -> None:
    """Anyone may read; there is no index here, so reading is 503."""
    environ["NITAMONO_PUBLIC_READ"] = "1"
    with gunicorn(environ) as process:
        wait_for(503, environ, "/v1/listings", within=30)
        assert status(environ, "/reports") == 401
        process.terminate()
        output, _ = process.communicate(timeout=30)
    assert "no API key exists: anyone may read, and nothing else is allowed; `nitamono keys create" in output


@pytest.fixture
def settings(elasticsearch_url: str, redis_url: str, index_prefix: str) -> QuerySettings:
    """A server with limits of five requests."""
    return QuerySettings(
        ElasticsearchSettings((elasticsearch_url,), prefix=index_prefix),
        access=AccessSettings(rate_limit_per_key="5/minute", rate_limit_per_address="5/minute"),
        redis_url=redis_url,
    )


def statuses(api: FlaskClient, count: int, key: str | None = None, **environ: Any) -> list[int]:
    """The statuses of requests for the reports."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return [api.get("/reports", headers=headers, environ_overrides=environ).status_code for _ in range(count)]


def test_a_limit_counts_all_servers_together_and_each_key_by_itself(
    es: Elasticsearch, settings: QuerySettings, index_prefix: str
) -> None:
    """Guessed keys count towards the address; a valid key from the same address does not."""
    _, first = create_key(es, index_prefix, "first", Role.OPERATE, NOW)
    _, second = create_key(es, index_prefix, "second", Role.OPERATE, NOW)
    one, two = (create_app(settings, es).test_client() for _ in range(2))
    assert statuses(one, 3, first) + statuses(two, 3, first) == [200] * 5 + [429]
    assert statuses(one, 5, second) == [200] * 5
    assert statuses(one, 3, "guessed") + statuses(two, 3) == [401] * 5 + [429]
    assert statuses(two, 1, REMOTE_ADDR="192.0.2.9") == [401]
    answer = one.get("/reports", headers={"Authorization": f"Bearer {first}"})
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    problem = answer.get_json(force=True)
    assert problem["type"] == "urn:nitamono:problem:too-many-requests"
    assert "more than 5 per 1 minute from one key; retry in " in problem["detail"]
    assert [one.get("/healthz").status_code for _ in range(9)] == [200] * 9


def test_addresses_behind_a_trusted_proxy_are_counted_apart(
    es: Elasticsearch, settings: QuerySettings
) -> None:
    """And those that anybody else claims are not."""
    behind = replace(settings.access, trusted_proxies=networks("10.0.0.0/8"))
    api = create_app(replace(settings, access=behind), es).test_client()

    def ask(peer: str, client: str) -> int:
        headers = {"X-Forwarded-For": client}
        return api.get("/reports", headers=headers, environ_overrides={"REMOTE_ADDR": peer}).status_code

    assert [ask("10.0.0.1", f"192.0.2.{number}") for number in range(9)] == [401] * 9
    assert [ask("203.0.113.5", f"192.0.2.{number}") for number in range(9)] == [401] * 5 + [429] * 4


def test_without_redis_requests_are_answered_and_still_limited(
    es: Elasticsearch, settings: QuerySettings, index_prefix: str, own_redis: RunningService
) -> None:
    """By each process for itself, until Redis is back."""
    _, key = create_key(es, index_prefix, "first", Role.OPERATE, NOW)
    api = create_app(replace(settings, redis_url=own_redis.url), es).test_client()
    assert statuses(api, 1, key) == [200]
    own_redis.stop()
    assert statuses(api, 6, key) == [200] * 5 + [429]


def test_an_open_server_has_no_limits(es: Elasticsearch, settings: QuerySettings) -> None:
    """As `make demo` starts it."""
    api = create_app(settings, es).test_client()
    assert statuses(api, 20) == [200] * 20
