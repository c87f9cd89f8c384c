"""The Celery apps of both workers and of their senders, with one configuration."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from typing import Any

from celery import Celery, signals

from queues.broker import transport_options
from queues.messages import PLAIN_JSON
from queues.metrics import watch_tasks
from queues.origin import stamp_messages
from queues.transport import Transport
from queues.work_queue import WorkQueue
from settings.environment import read_settings
from telemetry.logs import formatter
from telemetry.settings import LogSettings


def configuration(queue: WorkQueue) -> dict[str, Any]:
    """Return Celery's settings for a worker that keeps a message until it is processed."""
    transport = transport_options(queue.unacked_key, queue.visibility_timeout_s)
    return {
        "broker_url": queue.redis_url,
        "task_default_queue": queue.name,
        # No message stops the worker, and one that it cannot process is stored (decision 144).
        "broker_transport": f"{Transport.__module__}:{Transport.__name__}",
        "broker_transport_options": {**transport, "intake": queue.intake},
        # An error of Redis (full, read-only, loading) is retried as if it did not answer.
        "broker_channel_error_retry": True,
        # Plain JSON: a message can never run code in the worker.
        "task_serializer": "json",
        "accept_content": ["json", PLAIN_JSON],
        # Acknowledged when done, not when taken: what a killed worker held is processed again, which is
        # harmless, since every write is idempotent.
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        # A process that ran into the hard limit returns its message, too.
        "task_acks_on_failure_or_timeout": False,
        # One message a process at a time: others stay in the queue, for whichever worker is free, and their
        # visibility timeout does not run.
        "worker_prefetch_multiplier": 1,
        # Nothing listens to them.
        "worker_send_task_events": False,
        # Redis may come up after the worker, or restart under it.
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "worker_log_format": "%(asctime)s %(levelname)s %(processName)s %(message)s",
        "worker_task_log_format": "%(asctime)s %(levelname)s %(processName)s task=%(task_id)s %(message)s",
    }


def worker_app(name: str, configured: Callable[[], Mapping[str, Any]]) -> Celery:
    """Return the app of a worker, whose settings are read when first needed."""
    stamp_messages()
    watch_tasks()
    app = Celery(name)
    app.add_defaults(configured)
    return app


def producer_app(name: str, configured: Mapping[str, Any]) -> Celery:
    """Return an app that sends tasks; it imports no task and keeps no results."""
    stamp_messages()
    sender = Celery(name, set_as_current=False)
    sender.conf.update({**configured, "result_backend": None, "imports": ()})
    return sender


@signals.after_setup_logger.connect  # type: ignore[untyped-decorator]  # Celery has no types
@signals.after_setup_task_logger.connect  # type: ignore[untyped-decorator]  # as above
def form_lines(logger: logging.Logger, format: str, **_: object) -> None:  # noqa: A002  Celery's name
    """Write logs in the form of the settings, without a line for each request to Elasticsearch."""
    logging.getLogger("elastic_transport").setLevel(logging.WARNING)
    form = read_settings(LogSettings, os.environ).form
    for handler in logger.handlers:
        handler.setFormatter(formatter(form, format))
