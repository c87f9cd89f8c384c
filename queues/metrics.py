"""Metrics that both workers have: tasks, and messages that no worker can process."""

from __future__ import annotations

import time
from contextvars import ContextVar
from typing import Any, Final

from celery import signals

from queues.origin import begin_task, end_task
from telemetry.metrics import LAGS, Counter, Histogram, Metric

TASK_SECONDS: Final = Histogram(
    "nitamono_task_seconds",
    "Duration of a task.",
    ("task", "state"),
    "States other than SUCCESS and IGNORED (sent again for a retry) are failures; the worker's log has the "
    "cause. Near two thirds of NITAMONO_VISIBILITY_TIMEOUT_S tasks are cut short: lower "
    "NITAMONO_BATCH_SIZE.",
    buckets=LAGS,
)
REFUSED_MESSAGES: Final = Counter(
    "nitamono_refused_messages_total",
    "Messages that no worker can process.",
    ("queue", "reason"),
    "A producer sends something else than tasks. `nitamono indexer dead-letters list` shows the messages.",
)
METRICS: Final[tuple[Metric, ...]] = (TASK_SECONDS, REFUSED_MESSAGES)

_STARTED: Final[ContextVar[float]] = ContextVar("started")


def watch_tasks() -> None:
    """Time each task of this process, and note its ids."""
    signals.task_prerun.connect(_begin, weak=False)
    signals.task_postrun.connect(_end, weak=False)


def _begin(task_id: str, task: Any, **_: object) -> None:
    _STARTED.set(time.perf_counter())
    begin_task(task_id, task)


def _end(task: Any, state: str | None, **_: object) -> None:
    TASK_SECONDS.observe(time.perf_counter() - _STARTED.get(), task.name, state or "unknown")
    end_task()
