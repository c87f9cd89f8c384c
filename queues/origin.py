"""Where a message comes from: its trace, and when it was first queued. Both travel in its headers.

They are for logs and metrics alone: a message without them, or with others, is processed all the same.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

from celery import signals

from telemetry.ids import TRACEPARENT, Ids, clear_ids, current_ids, trace_id_in, traceparent_of, use_ids

ENQUEUED_AT: Final = "enqueued_at"
"""The header with the Unix time, in seconds, at which a message was first put into a queue."""


@dataclass(frozen=True)
class Origin:
    """The trace of a message and the time at which it was first queued; None if it does not say."""

    trace_id: str | None = None
    enqueued_at: float | None = None

    @classmethod
    def here(cls) -> Origin:
        """Return the origin of a message that is sent now; that of the first attempt, for a retry."""
        return cls(current_ids().trace_id or None, current_origin().enqueued_at or time.time())

    @classmethod
    def of(cls, traceparent: object, enqueued_at: object) -> Origin:
        """Return the origin in the headers of a message, which may hold anything."""
        trace_id = trace_id_in(traceparent) if isinstance(traceparent, str) else None
        is_time = isinstance(enqueued_at, int | float) and not isinstance(enqueued_at, bool)
        return cls(trace_id, float(enqueued_at) if is_time and 0 < enqueued_at < math.inf else None)  # type: ignore[arg-type, operator]  # mypy does not see what is_time says

    def to_headers(self) -> dict[str, Any]:
        """Return the headers of a message of this origin."""
        headers = {
            TRACEPARENT: self.trace_id and traceparent_of(self.trace_id),
            ENQUEUED_AT: self.enqueued_at,
        }
        return {name: value for name, value in headers.items() if value}

    def age_s(self, now: float | None = None) -> float | None:
        """Return the seconds since the message was queued. The clocks of two machines may differ."""
        return None if self.enqueued_at is None else max(0.0, (now or time.time()) - self.enqueued_at)


_CURRENT: Final[ContextVar[Origin]] = ContextVar("origin", default=Origin())  # noqa: B039  Origin is frozen


def current_origin() -> Origin:
    """Return the origin of the message that is processed."""
    return _CURRENT.get()


def stamp_messages() -> None:
    """Give each message that Celery sends from this process its origin."""
    signals.before_task_publish.connect(stamp, weak=False)


def stamp(headers: dict[str, Any], **_: object) -> None:
    """Add the origin to the headers of a message, unless it has one."""
    headers.update(
        {name: value for name, value in Origin.here().to_headers().items() if not headers.get(name)}
    )


def begin_task(task_id: str, task: Any) -> None:
    """Note the ids and the origin of the task that starts."""
    request: Mapping[str, Any] = vars(task.request)
    origin = Origin.of(request.get(TRACEPARENT), request.get(ENQUEUED_AT))
    _CURRENT.set(origin)
    use_ids(Ids(task_id=task_id, trace_id=origin.trace_id or ""))


def end_task() -> None:
    """Note that no task runs."""
    _CURRENT.set(Origin())
    clear_ids()
