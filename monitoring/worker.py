"""A worker is watched: its processes share their metrics, which it serves and reports."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import redis
from celery import signals

from cache.answers import cache_client
from monitoring.samples import Samples
from monitoring.workers import INTERVAL_S, WorkerReport, WorkerReports
from queues.settings import QueueSettings
from telemetry.endpoint import serve
from telemetry.logs import line
from telemetry.metrics import Metric
from telemetry.shared_files import collect, share_metrics

log = logging.getLogger(__name__)


@dataclass
class WatchedWorker:
    """A worker of one kind, in its main process. Nothing here ever ends the worker."""

    kind: str
    read_settings: Callable[[], QueueSettings]
    metrics: tuple[Metric, ...]
    _ended: threading.Event = field(default_factory=threading.Event)

    def connect(self) -> None:
        """Begin with Celery's signals."""
        signals.celeryd_init.connect(self.share, weak=False)
        signals.worker_ready.connect(self.begin, weak=False)
        signals.worker_shutdown.connect(self.end, weak=False)

    def share(self, **_: object) -> None:
        """Create the folder of shared metrics, before the processes are forked."""
        try:
            share_metrics()
        except OSError as error:
            log.warning(line("metrics_not_shared", detail=str(error)))

    def begin(self, sender: Any, **_: object) -> None:
        """Serve and report."""
        settings = self.read_settings()
        if settings.metrics.port is not None:
            self._serve(settings.metrics.host, settings.metrics.port)
        node = str(sender.hostname)
        threading.Thread(target=self._report, args=(node,), name="reports", daemon=True).start()

    def end(self, sender: Any, **_: object) -> None:
        """Withdraw the report."""
        self._ended.set()
        try:
            self._reports().withdraw(str(sender.hostname))
        except redis.RedisError as error:
            log.debug(line("report_not_withdrawn", detail=str(error)))

    def _reports(self) -> WorkerReports:
        settings = self.read_settings()
        return WorkerReports(cache_client(settings.redis_url), settings.prefix)

    def _serve(self, host: str, port: int) -> None:
        try:
            serve(host, port)
        except OSError as error:  # most often the port is another worker's
            hint = "set NITAMONO_METRICS_PORT and NITAMONO_METRICS_HOST to a free address of this machine"
            log.error(line("metrics_not_served", host=host, port=port, detail=str(error), hint=hint))
        else:
            log.info(line("metrics_served", host=host, port=port))

    def _report(self, node: str) -> None:
        reports, queue = self._reports(), self.read_settings().queue
        names = tuple(name for metric in self.metrics for name in metric.sample_names)
        started_at = time.time()
        while not self._ended.is_set():
            samples = Samples.of(collect())
            report = WorkerReport(node, self.kind, queue, started_at, time.time(), samples)
            try:
                reports.publish(report, names)
            except redis.RedisError as error:
                log.debug(line("report_not_stored", detail=str(error)))
            self._ended.wait(INTERVAL_S)
