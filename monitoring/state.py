"""The state of a deployment, read from Elasticsearch and Redis when somebody asks for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

import redis
from elasticsearch import ApiError, Elasticsearch, TransportError

from mappings.errors import ContractError
from mappings.inspection import read_identity
from mappings.names import read_alias
from monitoring.drift import Drift, measure_drift
from monitoring.indices import IndexFigures, read_dead_letters, read_indices
from monitoring.queues import QueueState, read_queues
from monitoring.workers import WorkerReport, WorkerReports
from queues.names import parked_key
from telemetry.secrets import redacted

TIMEOUT_S: Final = 5.0
"""For one request to Elasticsearch. Prometheus gives up after ten seconds by default."""
MAX_AGE_S: Final = 10.0
"""Seconds for which a state is shown again, whoever asks."""
DRIFT_MAX_AGE_S: Final = 300.0
"""The same for drift, whose searches cost some hundred milliseconds."""

T = TypeVar("T")


@dataclass(frozen=True)
class State:
    """The state, as far as it could be read."""

    queues: Sequence[QueueState] = ()
    parked: int | None = None
    """Events in Redis that could be stored neither as a document nor as a dead letter."""
    workers: Sequence[WorkerReport] = ()
    indices: Sequence[IndexFigures] = ()
    dead_letters: Mapping[str, int] = field(default_factory=dict)
    """By reason."""
    drift: Drift | None = None
    problems: Mapping[str, str] = field(default_factory=dict)
    """By service, why its part could not be read."""


class StateReader:
    """Reads the state, and keeps it for a while. Thread-safe: concurrent calls wait for one reading."""

    def __init__(
        self,
        es: Elasticsearch,
        client: redis.Redis,
        prefix: str,
        queues: Sequence[str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is read yet.

        queues: the names of the Celery queues.
        """
        self._es = es.options(request_timeout=TIMEOUT_S, max_retries=0)
        self._redis, self._prefix, self._queues = client, prefix, tuple(queues)
        self._state = _Kept(self._read_state, MAX_AGE_S, clock)
        self._drift = _Kept(self._measure_drift, DRIFT_MAX_AGE_S, clock)

    def state(self) -> State:
        """Return the state, a few seconds old at most. What cannot be read is empty, and a problem."""
        return self._state.value()

    def _read_state(self) -> State:
        problems: dict[str, str] = {}
        parts: dict[str, Any] = {}
        for service, read in (("redis", self._read_redis), ("elasticsearch", self._read_elasticsearch)):
            try:
                parts |= read()
            except (redis.RedisError, ApiError, TransportError) as error:
                problems[service] = redacted(f"{type(error).__name__}: {error}"[:300])
        return State(**parts, problems=problems)

    def _read_redis(self) -> dict[str, Any]:
        return {
            "queues": read_queues(self._redis, self._queues),
            "parked": self._redis.hlen(parked_key(self._prefix)),
            "workers": WorkerReports(self._redis, self._prefix).read(),
        }

    def _read_elasticsearch(self) -> dict[str, Any]:
        return {
            "indices": read_indices(self._es, self._prefix),
            "dead_letters": read_dead_letters(self._es, self._prefix),
            "drift": self._drift.value(),
        }

    def _measure_drift(self) -> Drift | None:
        alias = read_alias(self._prefix)
        try:
            identity = read_identity(self._es, alias)
        except ContractError:  # no live index yet, or one of an older schema
            return None
        return measure_drift(self._es, alias, identity)


class _Kept(Generic[T]):
    """The last value of a function, for a while."""

    def __init__(self, read: Callable[[], T], max_age_s: float, clock: Callable[[], float]) -> None:
        self._read, self._max_age_s, self._clock = read, max_age_s, clock
        self._lock = threading.Lock()
        self._kept: tuple[float, T] | None = None

    def value(self) -> T:
        """Return the value, read again if it is too old."""
        with self._lock:
            now = self._clock()
            if self._kept is None or now - self._kept[0] >= self._max_age_s:
                self._kept = now, self._read()
            return self._kept[1]
