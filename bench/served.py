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

import numpy as np

from query.api.server import GUNICORN

SIZE: Final = 24
"""Items in an answer."""


def similar_path(item_id: str, rules: Mapping[str, Any] | None = None) -> str:
    """The path of a request for similar items.

    rules: those of the result policy that differ from the server's.
    """
    query = urlencode({"size": SIZE, **(rules or {})})
    return f"/v1/listings/{quote(item_id, safe='')}/similar?{query}"


def over_http(
    url_environ: dict[str, str], items: Sequence[str], clients: int, rules: Mapping[str, Any] | None = None
) -> dict[str, float]:
    """Latency of one client and throughput of several, through gunicorn and over connections kept open.

    The answer cache is off. `elasticsearch_share` is the part of an answer's own time that it waited for
    Elasticsearch.
    """
    with served({**url_environ, "NITAMONO_CACHE_ANSWERS": "0"}) as port:
        ask(port, items, rules)
        alone = ask(port, items, rules)
        begun = time.perf_counter()
        with ThreadPoolExecutor(clients) as pool:
            answered = sum(len(done) for done in pool.map(lambda _: ask(port, items, rules), range(clients)))
        elapsed = time.perf_counter() - begun
    times = [took for took, _ in alone]
    return {
        "p50_ms": round(float(np.percentile(times, 50)), 2),
        "p95_ms": round(float(np.percentile(times, 95)), 2),
        "requests_per_s": round(answered / elapsed, 1),
        "clients": clients,
        "elasticsearch_share": round(
            sum(body["elasticsearch_ms"] for _, body in alone) / sum(body["took_ms"] for _, body in alone), 3
        ),
        "elasticsearch_share_of_request": round(
            sum(body["elasticsearch_ms"] for _, body in alone) / sum(times), 3
        ),
    }


def ask(
    port: int, items: Sequence[str], rules: Mapping[str, Any] | None = None
) -> list[tuple[float, dict[str, Any]]]:
    """Query each item, and return milliseconds and answer of each."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    answers = []
    for item_id in items:
        begun = time.perf_counter()
        connection.request("GET", similar_path(item_id, rules))
        body = connection.getresponse().read()
        answers.append(((time.perf_counter() - begun) * 1000, json.loads(body)))
    connection.close()
    return answers


@contextmanager
def served(environ: dict[str, str]) -> Iterator[int]:
    """Run the API behind gunicorn, and yield its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    environ = {**os.environ, **environ, "NITAMONO_API_PORT": str(port)}
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
