"""The Celery app of events: `celery -A events.worker.app worker`. Its processes load no encoder."""

from __future__ import annotations

import logging
import os
import sys
from functools import cache
from typing import Any

from celery import Celery, signals
from elasticsearch import ApiError, TransportError

from events.indices import update_indices
from events.worker.arguments import TASKS
from events.worker.metrics import METRICS
from events.worker.settings import EventSettings
from events.worker.store import EventStore
from mappings.client import connect
from monitoring.worker import WatchedWorker
from queues import celery_app
from queues import metrics as queue_metrics
from queues.work_queue import WorkQueue
from settings.errors import UserError
from telemetry.logs import line

log = logging.getLogger(__name__)


@cache
def settings() -> EventSettings:
    """Return this process's settings, read when first needed."""
    return EventSettings.from_environ(os.environ)


@cache
def queue() -> WorkQueue:
    """Return this process's queue."""
    return work_queue(settings())


@cache
def store() -> EventStore:
    """Return this process's store."""
    return EventStore(connect(settings().bounded_elasticsearch), settings().prefix)


def work_queue(chosen: EventSettings) -> WorkQueue:
    """Return the queue of events."""
    return WorkQueue.of(chosen, TASKS)


def configuration(chosen: EventSettings) -> dict[str, Any]:
    """Return Celery's settings."""
    return celery_app.configuration(work_queue(chosen)) | {
        "imports": ("events.worker.tasks",),
        # Nobody waits for a result: what was not stored is in the index of rejected events.
        "task_ignore_result": True,
        # Before Redis gives the message to another worker.
        "task_time_limit": chosen.hard_limit_s,
    }


def producer(chosen: EventSettings) -> Celery:
    """Return an app that sends tasks, and fails at once if Redis is unavailable."""
    configured = configuration(chosen)
    configured["broker_transport_options"] |= {"max_retries": 0}
    return celery_app.producer_app("nitamono-events-producer", configured)


app = celery_app.worker_app("nitamono-events", lambda: configuration(settings()))
WatchedWorker("events", settings, (*METRICS, *queue_metrics.METRICS)).connect()


@signals.celeryd_after_setup.connect  # type: ignore[untyped-decorator]  # Celery has no types
def update_mappings(**_: object) -> None:
    """Add new fields to existing indices; refuse to start if one has a field with another type."""
    chosen = settings()
    try:
        with connect(chosen.elasticsearch) as es:
            update_indices(es, chosen.prefix)
    except (TransportError, ApiError) as error:
        log.warning(line("elasticsearch_unavailable", detail=str(error)[:300]))
    except UserError as error:
        sys.exit(f"The worker of events cannot start: {error}")
