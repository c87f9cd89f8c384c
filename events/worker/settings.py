"""What the worker of events and the command line need to know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from events.names import event_queue
from mappings.client import ElasticsearchSettings
from queues.broker import DEFAULT_REDIS_URL, DEFAULT_VISIBILITY_TIMEOUT_S, RedisUrl, VisibilityTimeout
from settings.environment import read_settings


@dataclass(frozen=True)
class EventSettings:
    """Where events come from, and where they go."""

    elasticsearch: ElasticsearchSettings = field(default_factory=ElasticsearchSettings)
    redis_url: RedisUrl = field(default=DEFAULT_REDIS_URL, repr=False)
    visibility_timeout_s: VisibilityTimeout = DEFAULT_VISIBILITY_TIMEOUT_S

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> EventSettings:
        """Read the settings from the variables that the fields name.

        Raises:
            InvalidSetting: naming the variable, what was found and what is expected.
        """
        return read_settings(cls, environ)

    @property
    def prefix(self) -> str:
        """What the names of this deployment's indices and queue begin with."""
        return self.elasticsearch.prefix

    @property
    def queue(self) -> str:
        """The Celery queue."""
        return event_queue(self.prefix)

    @property
    def unacked_key(self) -> str:
        """The Redis hash of the messages that are in a worker's hands."""
        return f"{self.queue}-unacked"

    @property
    def patience_s(self) -> float:
        """Seconds for which one delivery tries, before it gives its message back to the queue."""
        return self.visibility_timeout_s / 3

    @property
    def hard_limit_s(self) -> float:
        """Seconds after which a delivery is ended: before its message would be given out again."""
        return self.visibility_timeout_s * 5 / 6

    @property
    def bounded_elasticsearch(self) -> ElasticsearchSettings:
        """The cluster's settings, every try of a request together in a tenth of the visibility timeout: what
        a delivery asks in its last moment of patience still ends before the hard limit."""
        longest = self.visibility_timeout_s / 10 / (self.elasticsearch.max_retries + 1)
        return replace(self.elasticsearch, timeout_s=min(self.elasticsearch.timeout_s, longest))
