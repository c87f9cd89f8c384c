"""Reports of the workers: each writes one to Redis every few seconds, so that anyone can see who works."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import redis

from monitoring.samples import Samples
from queues.names import workers_key

INTERVAL_S: Final = 10.0
"""Between two reports of a worker."""
SILENT_AFTER_S: Final = 45.0
"""A worker without a report for this long has ended or hangs."""
FORGOTTEN_AFTER_S: Final = 3600.0


@dataclass(frozen=True)
class WorkerReport:
    """What a worker says of itself."""

    node: str
    """Celery's name of the worker."""
    kind: str
    """`listings` or `events`."""
    queue: str
    started_at: float
    """Unix time, as is seen_at."""
    seen_at: float
    samples: Samples
    """Metrics of all its processes since it started."""

    @property
    def is_silent(self) -> bool:
        """Whether it should have reported since."""
        return time.time() - self.seen_at > SILENT_AFTER_S

    def to_json(self, names: tuple[str, ...]) -> str:
        """Return the report with the metrics of these names."""
        return json.dumps({**vars(self), "samples": self.samples.to_json(names)})

    @classmethod
    def from_json(cls, text: bytes) -> WorkerReport:
        """Return the report in the text.

        Raises:
            KeyError, TypeError, ValueError: it is none, such as one of another version.
        """
        found: Mapping[str, Any] = json.loads(text)
        return cls(
            node=str(found["node"]),
            kind=str(found["kind"]),
            queue=str(found["queue"]),
            started_at=float(found["started_at"]),
            seen_at=float(found["seen_at"]),
            samples=Samples.from_json(found["samples"]),
        )


@dataclass(frozen=True)
class WorkerReports:
    """A hash in the Redis of the queues."""

    client: redis.Redis
    prefix: str

    def publish(self, report: WorkerReport, names: tuple[str, ...]) -> None:
        """Write the report, with the metrics of these names.

        Raises:
            RedisError: Redis does not answer.
        """
        self.client.hset(workers_key(self.prefix), report.node, report.to_json(names))

    def withdraw(self, node: str) -> None:
        """Delete the report of a worker that ends."""
        self.client.hdel(workers_key(self.prefix), node)

    def read(self) -> list[WorkerReport]:
        """Return the reports by name. One that is an hour old is deleted.

        Raises:
            RedisError: Redis does not answer.
        """
        reports = []
        stored: Any = self.client.hgetall(workers_key(self.prefix))
        for node, text in sorted(stored.items()):
            try:
                report = WorkerReport.from_json(text)
            except (KeyError, TypeError, ValueError):
                continue
            if time.time() - report.seen_at > FORGOTTEN_AFTER_S:
                self.withdraw(node)
            else:
                reports.append(report)
        return reports
