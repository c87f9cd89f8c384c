"""The settings that both workers share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from mappings.client import ElasticsearchSettings
from queues.broker import DEFAULT_REDIS_URL, DEFAULT_VISIBILITY_TIMEOUT_S, RedisUrl, VisibilityTimeout
from queues.lanes import unacked_key
from settings.environment import read_settings
from telemetry.settings import LogSettings, MetricsSettings


@dataclass(frozen=True)
class QueueSettings:
    """The cluster that a worker writes to and the queue that it reads from."""

    elasticsearch: ElasticsearchSettings = field(default_factory=ElasticsearchSettings)
    redis_url: RedisUrl = field(default=DEFAULT_REDIS_URL, repr=False)
    visibility_timeout_s: VisibilityTimeout = DEFAULT_VISIBILITY_TIMEOUT_S
    logs: LogSettings = field(default_factory=LogSettings)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """Read the settings from the variables that the fields name.

        Raises:
            InvalidSetting: naming the variable, what was found and what is expected.
        """
        return read_settings(cls, environ)

    @property
    def prefix(self) -> str:
        """The prefix of the names of this deployment's indices and queues."""
        return self.elasticsearch.prefix

    @property
    def queue(self) -> str:
        """The Celery queue: one for each prefix, so that deployments can share a Redis."""
        raise NotImplementedError

    @property
    def unacked_key(self) -> str:
        """The Redis hash of the messages that workers hold."""
        return unacked_key(self.queue)

    @property
    def hard_limit_s(self) -> float:
        """Seconds after which a task is ended: before its message would be delivered again."""
        return self.visibility_timeout_s * 5 / 6

    def elasticsearch_within(self, seconds: float) -> ElasticsearchSettings:
        """Return the cluster's settings with a timeout by which all tries of a request end in time."""
        longest = seconds / (self.elasticsearch.max_retries + 1)
        return replace(self.elasticsearch, timeout_s=min(self.elasticsearch.timeout_s, longest))
