"""`nitamono indexer forward`."""

from __future__ import annotations

import logging
import signal
import threading

import click

from indexer.commands.connections import Connections
from indexer.worker.bootstrap import work_queue
from queues.rabbitmq import Forwarder
from settings.errors import InvalidSetting


@click.command(name="forward")
@click.pass_obj
def forward_command(connections: Connections) -> None:
    """Move messages from RabbitMQ (NITAMONO_BROKER_URL) to the queue in Redis, until it is stopped.

    A message is acknowledged when Redis has it. Several may run at once.
    """
    settings = connections.settings
    if not settings.broker_url:
        raise InvalidSetting("NITAMONO_BROKER_URL is not set, expected a URL such as amqp://user@rabbitmq/")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    stopping = threading.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: stopping.set())
    Forwarder(settings.broker_url, work_queue(settings)).run(stopping)
