"""A web server on this machine and a step that is under way."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.local_services.progress import Progress, Step


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder without writing a line for each request."""

    def log_message(self, *_: object) -> None:
        """Write nothing."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and the URL under which it is served on the loopback address."""
    folder = tmp_path / "site"
    folder.mkdir()
    handler = functools.partial(QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture
def step() -> Iterator[Step]:
    """A step that is under way."""
    with Progress().step("Testing") as under_way:
        yield under_way
