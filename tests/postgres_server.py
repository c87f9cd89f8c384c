"""A PostgreSQL of Debian's packages on this machine, with a password."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from demo.local_services.unprivileged_user import run_as, service_user
from tests.free_port import free_port

PASSWORD = "p@ss/w:rd%"
BINARIES = Path("/usr/lib/postgresql")


@dataclass(frozen=True)
class PostgresServer:
    """A running server."""

    port: int

    @property
    def url(self) -> str:
        """Its URL, with the password in a variable."""
        return f"postgresql://postgres:${{SHOP_PASSWORD}}@127.0.0.1:{self.port}/postgres"

    def connect(self) -> psycopg.Connection:
        """Return a connection that commits each statement."""
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user="postgres", password=PASSWORD, autocommit=True
        )


def find_postgres() -> Path | None:
    """Return the folder with the newest initdb; None if there is none."""
    found = shutil.which("initdb")
    versions = sorted(BINARIES.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if versions:
        return versions[-1].parent
    return Path(found).parent if found else None


@contextmanager
def postgres_server(binaries: Path) -> Iterator[PostgresServer]:
    """A running server, which does not run as root."""
    user = service_user("postgres")
    folder = Path(tempfile.mkdtemp(prefix="nitamono-postgres-"))
    (folder / "password").write_text(PASSWORD)
    user.own(folder)
    data, port = folder / "data", free_port()
    options = ["--username=postgres", "--auth=scram-sha-256", f"--pwfile={folder / 'password'}"]
    made = run_as(user, [binaries / "initdb", "--pgdata", data, "--no-sync", "--encoding=UTF8", *options])
    assert made.returncode == 0, made.stderr
    listening = [
        "-p",
        str(port),
        "-c",
        "listen_addresses=127.0.0.1",
        "-c",
        f"unix_socket_directories={folder}",
    ]
    process = subprocess.Popen(
        [binaries / "postgres", "-D", data, "-c", "fsync=off", *listening],
        cwd="/",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={"PATH": os.defpath, "LC_ALL": "C"},
        **user.popen_arguments,
    )
    try:
        wait_for(binaries, port, process)
        yield PostgresServer(port)
    finally:
        process.terminate()
        process.wait(timeout=30)
        shutil.rmtree(folder)


def wait_for(binaries: Path, port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until the server takes connections."""
    ready = [binaries / "pg_isready", "-h", "127.0.0.1", "-p", str(port), "-q"]
    while subprocess.run(ready, check=False).returncode:
        assert process.poll() is None, "PostgreSQL ended"
        time.sleep(0.05)
