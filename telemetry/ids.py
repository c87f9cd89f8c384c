"""The ids of the current request or task, by which log lines of several processes are matched.

A trace id comes from the `traceparent` header of a request (https://www.w3.org/TR/trace-context/), travels in
the headers of the messages that the request causes, and is in the log lines of the tasks that process them.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

TRACEPARENT: Final = "traceparent"
"""The name of the header, of requests and of messages."""

_TRACEPARENT: Final = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)


@dataclass(frozen=True)
class Ids:
    """The ids of what a process is doing; those that there are not are empty."""

    request_id: str = ""
    task_id: str = ""
    trace_id: str = ""

    def to_fields(self) -> dict[str, str]:
        """Return the ids that there are, by name."""
        return {name: value for name, value in vars(self).items() if value}


_CURRENT: Final[ContextVar[Ids]] = ContextVar("ids", default=Ids())  # noqa: B039  Ids is frozen


def current_ids() -> Ids:
    """Return the ids of the current request or task."""
    return _CURRENT.get()


def use_ids(ids: Ids) -> None:
    """Set the ids of the current request or task."""
    _CURRENT.set(ids)


def clear_ids() -> None:
    """Note that the request or task has ended: a thread that is used again must not keep its ids."""
    _CURRENT.set(Ids())


@contextmanager
def ids_of(ids: Ids) -> Iterator[None]:
    """Set the ids within the block."""
    before = current_ids()
    use_ids(ids)
    try:
        yield
    finally:
        use_ids(before)


def trace_id_in(traceparent: str) -> str | None:
    """Return the trace id of a `traceparent` header, or None if it is not valid."""
    match = _TRACEPARENT.fullmatch(traceparent[:64])
    return match[1] if match else None


def new_trace_id() -> str:
    """Return a random trace id."""
    return secrets.token_hex(16)


def traceparent_of(trace_id: str) -> str:
    """Return a `traceparent` header of the trace, with a new span and not sampled."""
    return f"00-{trace_id}-{secrets.token_hex(8)}-00"
