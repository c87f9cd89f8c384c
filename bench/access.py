"""What checking a caller costs a request: `python -m bench.access`.

Asks three servers for `/reports`, the cheapest page that needs a role, in turns: an open one, and two with
keys, without rate limits and with them. Then times the check of a key by itself, for keys that are wrong in
different ways. Uses the Elasticsearch of ELASTICSEARCH_URL and the Redis of NITAMONO_REDIS_URL.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np

from bench.served import served
from mappings.client import ElasticsearchSettings, connect
from query.access.key_ring import Keys
from query.access.keys import CHECKSUM_LENGTH, checksum, new_key
from query.access.roles import Role
from query.access.store import create_key, key_index

NO_LIMITS: Final = {"NITAMONO_RATE_LIMIT_PER_KEY": "off", "NITAMONO_RATE_LIMIT_PER_ADDRESS": "off"}

WARM_UPS: Final = 200

CHECKS: Final = 20_000
"""Of one kind of key, in batches of a hundred."""


@dataclass(frozen=True)
class Row:
    """The latency of one kind of request."""

    method: str
    p50_us: float
    p95_us: float
    ratio: float
    """Of the medians, to that of the first row."""


def request_times(ask: Mapping[str, Callable[[], int]], count: int) -> list[Row]:
    """Send requests of each kind in turns."""
    taken: dict[str, list[float]] = {name: [] for name in ask}
    for _ in range(count + WARM_UPS):
        for name, send in ask.items():
            begun = time.perf_counter()
            status = send()
            taken[name].append((time.perf_counter() - begun) * 1e6)
            if status != http.HTTPStatus.OK:
                raise SystemExit(f"{name}: {status}")
    return rows({name: times[WARM_UPS:] for name, times in taken.items()})


def check_times(texts: Mapping[str, str], keys: Keys) -> list[Row]:
    """Check keys of each kind in turns, in batches."""
    taken: dict[str, list[float]] = {name: [] for name in texts}
    now = datetime.now(UTC)
    for _ in range(CHECKS // 100):
        for name, text in texts.items():
            begun = time.perf_counter()
            for _ in range(100):
                keys.holder(text, now)
            taken[name].append((time.perf_counter() - begun) * 1e4)
    return rows(taken)


def rows(taken: Mapping[str, list[float]]) -> list[Row]:
    """The figures of each kind, from microseconds."""
    quantiles = {name: np.percentile(times, [50, 95]) for name, times in taken.items()}
    first = next(iter(quantiles.values()))[0]
    return [
        Row(name, round(float(p50), 2), round(float(p95), 2), round(float(p50 / first), 3))
        for name, (p50, p95) in quantiles.items()
    ]


def asking(port: int, key: str | None) -> Callable[[], int]:
    """Return a function that asks for `/reports` over one connection and returns the status."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"Authorization": f"Bearer {key}"} if key else {}

    def ask() -> int:
        connection.request("GET", "/reports", headers=headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status

    return ask


def main() -> None:
    """Print two tables and a line of JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--requests", type=int, default=3_000, help="of each kind of request (default: %(default)s)"
    )
    count = parser.parse_args().requests
    settings = ElasticsearchSettings.from_environ(os.environ)
    prefix = f"bench-access-{os.getpid()}"
    with connect(settings) as es, ExitStack() as stack:
        stored, key = create_key(es, prefix, "bench", Role.OPERATE, datetime.now(UTC))
        stack.callback(es.indices.delete, index=key_index(prefix))
        environ = {"ELASTICSEARCH_URL": ",".join(settings.urls), "NITAMONO_API_WORKERS": "1"}
        closed = environ | {"NITAMONO_INDEX_PREFIX": prefix}
        ports = [
            stack.enter_context(served(each))
            for each in (environ | {"NITAMONO_INDEX_PREFIX": f"{prefix}-open"}, closed | NO_LIMITS, closed)
        ]
        requests = request_times(
            {
                "open server": asking(ports[0], None),
                "key": asking(ports[1], key),
                "key, rate limits": asking(ports[2], key),
            },
            count,
        )
    forged = key[:22] + new_key()[22:-CHECKSUM_LENGTH]
    texts = {
        "valid": key,
        "known id, wrong secret": forged + checksum(forged),
        "unknown id": new_key(),
        "half of a key": key[:36],
    }
    checks = check_times(texts, Keys([stored]))
    for title, table in (("requests", requests), ("checks of a key", checks)):
        print(title)
        for row in table:
            print(f"  {row.method:24}{row.p50_us:10.2f} µs  p95 {row.p95_us:10.2f} µs  {row.ratio:.3f}")
    print(json.dumps({"requests": [asdict(r) for r in requests], "checks": [asdict(r) for r in checks]}))


if __name__ == "__main__":
    main()
