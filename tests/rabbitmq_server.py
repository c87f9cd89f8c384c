"""A RabbitMQ of Debian's package on this machine."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kombu import Connection

from demo.local_services.unprivileged_user import ServiceUser, run_as, service_user
from tests.free_port import free_port

SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""Debian's program on the PATH changes to a user of its own; this one runs as the caller."""


@dataclass
class RabbitServer:
    """A server that a test may kill and start again; its data and its address stay."""

    folder: Path
    user: ServiceUser
    port: int
    distribution_port: int
    epmd_port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its URL."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        environ = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self.folder),
            "LC_ALL": "C.UTF-8",
            "RABBITMQ_NODENAME": f"test{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self.distribution_port),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq"),
            "ERL_EPMD_PORT": str(self.epmd_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1",
        }
        self.process = subprocess.Popen(
            [SERVER], cwd="/", env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True, **self.user.popen_arguments,
        )  # fmt: skip
        while not self._answers():
            assert self.process.poll() is None, self.log
            time.sleep(0.2)

    @property
    def log(self) -> str:
        """What it has written so far."""
        return "\n".join(file.read_text() for file in (self.folder / "log").glob("*.log"))

    def stop(self) -> None:
        """End it by SIGTERM."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(timeout=60)
            self.process = None

    def _answers(self) -> bool:
        try:
            with Connection(self.url, connect_timeout=2) as connection:
                connection.connect()
        except OSError:
            return False
        return True


@contextmanager
def rabbitmq_server() -> Iterator[RabbitServer]:
    """A running server, which does not run as root."""
    user = service_user("rabbitmq")
    folder = Path(tempfile.mkdtemp(prefix="nitamono-rabbitmq-"))
    user.own(folder)
    server = RabbitServer(folder, user, free_port(), free_port(), free_port())
    try:
        server.start()
        yield server
    finally:
        server.stop()
        # Erlang's port mapper is a daemon that outlives its node; this is the one on our port.
        run_as(user, ["epmd", "-port", str(server.epmd_port), "-kill"])
        shutil.rmtree(folder)
