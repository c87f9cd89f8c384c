"""The settings of the worker of events and of the commands for events."""

from __future__ import annotations

from dataclasses import dataclass

from events.names import event_queue
from mappings.client import ElasticsearchSettings
from queues.settings import QueueSettings


@dataclass(frozen=True)
class EventSettings(QueueSettings):
    """The services and the limits of the worker of events."""

    @property
    def queue(self) -> str:
        """The Celery queue."""
        return event_queue(self.prefix)

    @property
    def patience_s(self) -> float:
        """Seconds for which one delivery tries, before its message returns to the queue."""
        return self.visibility_timeout_s / 3

    @property
    def bounded_elasticsearch(self) -> ElasticsearchSettings:
        """The cluster's settings, with all tries of a request in a tenth of the visibility timeout.

        So a request that starts when the patience ends is over before the hard limit.
        """
        return self.elasticsearch_within(self.visibility_timeout_s / 10)
