"""The Celery app of events: `celery -A events.worker.app worker`. No encoder is in its processes."""

from __future__ import annotations

import logging
import os
from functools import cache
from typing import Any

from celery import Celery, signals

from events.worker.arguments import TASKS
from events.worker.settings import EventSettings
from events.worker.store import EventStore
from mappings.client import connect
from queues.broker import delivery_settings, redis_client, transport_options
from queues.deliveries import Deliveries
from queues.refused_messages import RefusedMessages
from queues.transport import Intake


@cache
def settings() -> EventSettings:
    """This process's settings, read when first needed."""
    return EventSettings.from_environ(os.environ)


@cache
def store() -> EventStore:
    """This process's store."""
    return EventStore(connect(settings().bounded_elasticsearch), settings().prefix)


@cache
def deliveries() -> Deliveries:
    """This process's count of deliveries."""
    return Deliveries(redis_client(settings().redis_url), settings().queue)


def build_intake(chosen: EventSettings) -> Intake:
    """What a worker takes from the queue, and where the messages go that it cannot take."""
    refused = RefusedMessages(redis_client(chosen.redis_url), chosen.queue)
    return Intake(chosen.queue, TASKS, refused, chosen.visibility_timeout_s)


def configuration(chosen: EventSettings) -> dict[str, Any]:
    """Celery's settings, each for a reason."""
    transport = transport_options(chosen.unacked_key, chosen.visibility_timeout_s)
    return delivery_settings(build_intake(chosen), transport) | {
        "broker_url": chosen.redis_url,
        "imports": ("events.worker.tasks",),
        "task_default_queue": chosen.queue,
        # Nobody waits for a result: what was not stored is in the index of rejected events.
        "task_ignore_result": True,
        "task_time_limit": chosen.hard_limit_s,
    }


def producer(chosen: EventSettings) -> Celery:
    """An app that sends tasks. It says so soon when Redis is away."""
    sender = Celery("nitamono-events-producer", set_as_current=False)
    configured = configuration(chosen)
    configured["broker_transport_options"] |= {"max_retries": 0}
    sender.conf.update(configured | {"imports": ()})
    return sender


app = Celery("nitamono-events")
app.add_defaults(lambda: configuration(settings()))


@signals.after_setup_logger.connect  # type: ignore[untyped-decorator]  # Celery has no types
def quieten(**_: object) -> None:
    """Leaves a line for each request to Elasticsearch out of the log."""
    logging.getLogger("elastic_transport").setLevel(logging.WARNING)
