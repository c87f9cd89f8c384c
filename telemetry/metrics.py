"""Metrics: declared here as data, counted by prometheus-client.

A declaration has what docs/metrics.md says of it. The library is imported when a metric first changes, since
it decides at its import whether processes share their values (`telemetry.shared_files`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Final

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client import Metric as Family
    from prometheus_client.metrics import MetricWrapperBase

FRACTIONS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds of what takes a part of a second, or some."""

LAGS: Final = (0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0, 86_400.0)
"""Seconds of delays: fine around the target of 1.5 s, and up to a day for backfills."""

SIZES: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0)
"""Things that are processed at once."""

MOST_VALUES: Final = 200
"""Values of one label in one process. Whatever comes later is counted as `other`."""


@dataclass(frozen=True, eq=False)
class Metric:
    """A metric. Its name ends with its unit."""

    kind: ClassVar[str]
    name: str
    meaning: str
    """One short sentence: it is the help text in every exposition."""
    labels: tuple[str, ...] = ()
    when_off: str = ""
    """How it looks when something is wrong, and what to do, for docs/metrics.md."""

    @property
    def sample_names(self) -> tuple[str, ...]:
        """The names in an exposition."""
        return (self.name,)

    def make(self, registry: CollectorRegistry) -> MetricWrapperBase:
        """Return the metric of the library."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class Counter(Metric):
    """A number that only grows while a process lives."""

    kind = "counter"

    def add(self, *values: str, by: float = 1) -> None:
        """Add to the counter with these values of its labels."""
        _child(self, values).inc(by)

    def make(self, registry: CollectorRegistry) -> MetricWrapperBase:
        """Return the metric of the library."""
        from prometheus_client import Counter as Made  # noqa: PLC0415  see the head of this file

        return Made(self.name, self.meaning, self.labels, registry=registry)


@dataclass(frozen=True, eq=False)
class Histogram(Metric):
    """A distribution in buckets."""

    kind = "histogram"
    buckets: tuple[float, ...] = field(default=FRACTIONS, kw_only=True)

    @property
    def sample_names(self) -> tuple[str, ...]:
        """The names in an exposition."""
        return tuple(f"{self.name}_{part}" for part in ("bucket", "count", "sum"))

    def observe(self, value: float, *values: str) -> None:
        """Add a value to the distribution with these values of its labels."""
        _child(self, values).observe(value)

    def make(self, registry: CollectorRegistry) -> MetricWrapperBase:
        """Return the metric of the library."""
        from prometheus_client import Histogram as Made  # noqa: PLC0415  see the head of this file

        return Made(self.name, self.meaning, self.labels, registry=registry, buckets=self.buckets)


@dataclass(frozen=True, eq=False)
class Gauge(Metric):
    """A number that a process sets. Of several processes the highest value of those that live is shown."""

    kind = "gauge"

    def set(self, value: float, *values: str) -> None:
        """Set the gauge with these values of its labels."""
        _child(self, values).set(value)

    def make(self, registry: CollectorRegistry) -> MetricWrapperBase:
        """Return the metric of the library."""
        from prometheus_client import Gauge as Made  # noqa: PLC0415  see the head of this file

        return Made(self.name, self.meaning, self.labels, registry=registry, multiprocess_mode="livemax")


@dataclass(frozen=True, eq=False)
class Reading(Metric):
    """A number that is read when somebody asks for it, and belongs to no process."""

    kind = "gauge"

    def family(self, values: Iterable[tuple[tuple[str, ...], float]]) -> Family:
        """Return the metric with the values of its labels and its own."""
        from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415  see the head of this file

        family = GaugeMetricFamily(self.name, self.meaning, labels=self.labels)
        for labels, value in values:
            family.add_metric(labels, value)
        return family


@cache
def own_registry() -> CollectorRegistry:
    """Return the registry of this process's metrics."""
    from prometheus_client import CollectorRegistry  # noqa: PLC0415  see the head of this file

    return CollectorRegistry()


class BoundedValues:
    """The values of a label, which are limited in number: Prometheus keeps a time series for each."""

    def __init__(self, most: int = MOST_VALUES) -> None:
        self._most = most
        self._known: set[str] = set()

    def of(self, value: str) -> str:
        """Return the value, or `other` if there are too many already."""
        if value not in self._known:
            if len(self._known) >= self._most:
                return "other"
            self._known.add(value)
        return value


@cache
def _made(metric: Metric) -> MetricWrapperBase:
    return metric.make(own_registry())


@lru_cache(maxsize=4096)
def _child(metric: Metric, values: tuple[str, ...]) -> Any:
    return _made(metric).labels(*values) if metric.labels else _made(metric)
