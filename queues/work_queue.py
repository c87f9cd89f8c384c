"""A Celery queue in Redis, with what belongs to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import redis

from queues.broker import redis_client
from queues.deliveries import Deliveries
from queues.messages import Tasks
from queues.refused_messages import RefusedMessages
from queues.settings import QueueSettings
from queues.transport import Intake


@dataclass(frozen=True)
class WorkQueue:
    """A queue with its tasks, its delivery counts and its refused messages."""

    name: str
    unacked_key: str
    redis_url: str = field(repr=False)
    visibility_timeout_s: float
    tasks: Tasks

    @classmethod
    def of(cls, settings: QueueSettings, tasks: Tasks) -> WorkQueue:
        """Return the queue that the settings name. Nothing is sent to Redis yet."""
        return cls(
            settings.queue, settings.unacked_key, settings.redis_url, settings.visibility_timeout_s, tasks
        )

    @cached_property
    def client(self) -> redis.Redis:
        """A client of its Redis."""
        return redis_client(self.redis_url)

    @property
    def refused(self) -> RefusedMessages:
        """The messages that no worker can process."""
        return RefusedMessages(self.client, self.name)

    @property
    def deliveries(self) -> Deliveries:
        """The count of each message's deliveries."""
        return Deliveries(self.client, self.name)

    @property
    def intake(self) -> Intake:
        """The check that each message passes on its way into a worker."""
        return Intake(self.name, self.tasks, self.refused, self.visibility_timeout_s)
