"""Messages that come by RabbitMQ: moved to the queue in Redis, where they are checked like all others.

Retries, gathering, priorities and refused messages are those of the queue in Redis, so a message that came by
RabbitMQ has all of them (docs/decisions/149-rabbitmq.md).
"""

from __future__ import annotations

import base64
import json
import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import redis
from amqp.exceptions import NotFound
from kombu.connection import Connection
from kombu.entity import Exchange, Queue
from kombu.message import Message
from kombu.messaging import Consumer
from pydantic import AfterValidator

from queues.backoff import wait_before
from queues.work_queue import WorkQueue
from settings.environment import Variable

log = logging.getLogger(__name__)

MOST_QUEUED: Final = 1_000
"""Messages in Redis above which none is taken from RabbitMQ, which is made for many."""
PREFETCH: Final = 100
LONGEST_WAIT_S: Final = 10.0
POLL_S: Final = 0.5


def valid_amqp_url(text: str) -> str:
    """Return the text, if it is the URL of a RabbitMQ.

    Raises:
        ValueError: it is not.
    """
    parts = urlsplit(text)  # raises on half an IPv6 address; `port` raises on one that is not a number
    if parts.scheme not in {"amqp", "amqps"} or not parts.hostname or parts.port == 0:
        raise ValueError("not a URL of a RabbitMQ")
    return text


BrokerUrl = Annotated[
    str,
    AfterValidator(valid_amqp_url),
    Variable(
        "NITAMONO_BROKER_URL",
        "The RabbitMQ that `nitamono indexer forward` takes messages from ([producers](producers.md)).",
        expected="a URL such as amqp://user@rabbitmq:5672/vhost",
        used_by="`nitamono indexer forward`",
        secret=True,
    ),
]


@dataclass(frozen=True)
class Forwarder:
    """Moves messages from the queue of a RabbitMQ to that of the same name in Redis.

    A message is acknowledged when Redis has it, so none is lost. After a failure in between it is there
    twice, which is harmless.
    """

    url: str
    queue: WorkQueue

    def run(self, stopping: threading.Event) -> None:
        """Move messages until the event is set. Failures of either server are logged and retried."""
        failures = 0
        while not stopping.is_set():
            # Without heartbeats, which would need an answer while there is no room; TCP notices a lost host.
            connection = Connection(self.url, heartbeat=0, connect_timeout=5)
            errors = (*connection.recoverable_connection_errors, *connection.recoverable_channel_errors)
            try:
                with connection:
                    self._forward(connection, stopping)
            except (*errors, redis.RedisError) as error:
                failures += 1
                log.warning("forwarding_failed detail=%r", f"{type(error).__name__}: {error}"[:300])
                stopping.wait(wait_before(min(failures, 10), LONGEST_WAIT_S))
            else:
                failures = 0

    def _forward(self, connection: Connection, stopping: threading.Event) -> None:
        queue = declared(connection, self.queue.name)
        log.info("forwarding queue=%s", self.queue.name)
        with Consumer(connection.channel(), [queue], on_message=self._move, prefetch_count=PREFETCH):
            while not stopping.is_set():
                if self.queue.client.llen(self.queue.name) >= MOST_QUEUED:
                    stopping.wait(POLL_S)
                    continue
                try:
                    connection.drain_events(timeout=POLL_S)
                except TimeoutError:
                    continue

    def _move(self, message: Message) -> None:
        self.queue.client.lpush(self.queue.name, envelope_of(message))
        message.ack()


def declared(connection: Connection, name: str) -> Queue:
    """Return the queue, with the exchange that Celery's producers send to. An existing one stays as it is."""
    queue = Queue(name, Exchange(name, type="direct"), routing_key=name, no_declare=True)
    try:
        queue(connection.channel()).queue_declare(passive=True)
    except NotFound:
        Queue(name, Exchange(name, type="direct"), routing_key=name)(connection.channel()).declare()
    return queue


def envelope_of(message: Message) -> str:
    """Return the message as it would be in Redis. Whether it is valid is checked there."""
    body = message.body.encode() if isinstance(message.body, str) else bytes(message.body)
    headers: Mapping[str, Any] = message.headers or {}
    envelope = {
        "body": base64.b64encode(body).decode(),
        "content-type": message.content_type,
        "content-encoding": message.content_encoding,
        "headers": headers,
        "properties": {"body_encoding": "base64"},
    }
    return json.dumps(envelope, default=str)
