"""The arguments of the task that stores events."""

from __future__ import annotations

from typing import Final

from events.names import STORE_EVENTS
from queues.messages import Arguments, Entries


class StoreArguments(Arguments):
    """The arguments of `store_events`."""

    messages: Entries


TASKS: Final[dict[str, type[Arguments]]] = {STORE_EVENTS: StoreArguments}
