"""The services that the commands use."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import click
import redis
from celery import Celery
from elasticsearch import Elasticsearch

from indexer.intake.sources.watermarks import Watermarks
from indexer.intake.submission import Submission
from indexer.settings import ProducerSettings
from indexer.worker.app import producer
from indexer.worker.bootstrap import work_queue
from indexer.worker.pipeline.dead_letters import DeadLetters
from indexer.worker.pipeline.store import ListingStore
from mappings.client import connect
from mappings.identity import EncoderIdentity
from queues.broker import redis_client
from queues.parking import ParkingLot
from queues.transport import Intake


@dataclass(frozen=True)
class Connections:
    """The services that the commands use, each opened on first use."""

    settings: ProducerSettings

    @classmethod
    def open(cls) -> Connections:
        """Return the connections that the environment names."""
        return cls(ProducerSettings.from_environ(os.environ))

    @cached_property
    def producer(self) -> Celery:
        """The app that sends tasks."""
        return producer(self.settings)

    @cached_property
    def es(self) -> Elasticsearch:
        """The client of Elasticsearch."""
        return connect(self.settings.elasticsearch)

    @cached_property
    def identity(self) -> EncoderIdentity:
        """The encoder that documents are written for."""
        return EncoderIdentity.from_artifact(self.settings.encoder)

    @cached_property
    def redis(self) -> redis.Redis:
        """The client of the Redis of the queue."""
        return redis_client(self.settings.redis_url)

    @property
    def store(self) -> ListingStore:
        """The listings."""
        return ListingStore(self.es, self.settings.prefix, [self.identity])

    @property
    def dead_letters(self) -> DeadLetters:
        """The rejected events."""
        return DeadLetters(self.es, self.settings.prefix, self.identity.encoder_id)

    @property
    def parking(self) -> ParkingLot:
        """The events that wait for Elasticsearch."""
        return ParkingLot(self.redis, self.settings.prefix)

    @property
    def watermarks(self) -> Watermarks:
        """How far queries were read."""
        return Watermarks(self.redis, self.settings.prefix)

    @property
    def intake(self) -> Intake:
        """The check of messages, with those that no worker can process."""
        return work_queue(self.settings).intake

    def submission(self, *, wait: bool, progress: Callable[[int], object] = lambda _: None) -> Submission:
        """Return a submission, which sends events."""
        return Submission(self.producer, self.redis, self.settings, wait=wait, progress=progress)


def warn_without_worker(connections: Connections) -> None:
    """Print on stderr if no worker is running. The listings stay in the queue."""
    if not connections.producer.control.ping(timeout=1.0):
        click.echo("No worker answers yet; `make up` starts one. Waiting.", err=True)
