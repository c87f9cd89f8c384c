"""The API behind gunicorn, and clients that ask it over HTTP."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import quote, urlencode

from query.api.server import GUNICORN

SIZE: Final = 24
"""Items in an answer."""

CACHE_OFF: Final = {"NITAMONO_CACHE_ANSWERS": "0"}


def similar_path(item_id: str, rules: Mapping[str, Any] | None = None) -> str:
    """The path of a request for similar items.

    rules: those of the result policy that differ from the server's.
    """
    query = urlencode({"size": SIZE, **(rules or {})})
    return f"/v1/listings/{quote(item_id, safe='')}/similar?{query}"


class Client:
    """Asks for similar items over one connection that is kept open."""

    def __init__(self, port: int, rules: Mapping[str, Any] | None = None) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._rules = rules

    def __call__(self, item_id: str) -> list[str]:
        """The ids of the answer."""
        self._connection.request("GET", similar_path(item_id, self._rules))
        answer = json.loads(self._connection.getresponse().read())
        return [item["item_id"] for item in answer["items"]]


def requests_per_s(
    port: int, items: Sequence[str], clients: int, rules: Mapping[str, Any] | None = None
) -> float:
    """The throughput of clients of which each asks for all items, one after the other."""

    def ask_for_all(_: int) -> int:
        return len(list(map(Client(port, rules), items)))

    begun = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        answered = sum(pool.map(ask_for_all, range(clients)))
    return round(answered / (time.perf_counter() - begun), 1)


@contextmanager
def served(environ: dict[str, str], *, cache: bool = False) -> Iterator[int]:
    """Run the API behind gunicorn, and yield its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    environ = {**os.environ, **environ, **({} if cache else CACHE_OFF), "NITAMONO_API_PORT": str(port)}
    command = [sys.executable, "-m", *GUNICORN]
    process = subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL)  # noqa: S603 - our own command
    try:
        _wait_until_served(process, port)
        yield port
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait_until_served(process: subprocess.Popen[bytes], port: int) -> None:
    for _ in range(150):
        if process.poll() is not None:
            raise SystemExit(f"gunicorn ended with {process.returncode}; `nitamono similar` may say more")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise SystemExit("gunicorn did not open its port within 30 s")
