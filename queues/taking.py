"""Messages on their way to a worker: in Redis they are always in a list or among the unacknowledged.

BRPOP would hand a message to the worker alone, and a worker that is killed before it has stored it loses it.
So a script moves the message to the unacknowledged ones. A script cannot wait: BLMOVE from the live list to
its own end waits without moving anything.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from queues.lanes import LIVE, list_of, lists_of, unacked_index_key, unacked_key

LOOK_S: Final = 0.25
"""The longest that a message of another list than the live one waits for an idle worker."""

_MARK: Final = b"taken:"

_TAKE: Final = """
local unacked, index = KEYS[#KEYS - 1], KEYS[#KEYS]
for position = 1, #KEYS - 2 do
  local message = redis.call('RPOP', KEYS[position])
  if message then
    redis.call('HSET', unacked, ARGV[1], ARGV[2] .. KEYS[position] .. '\\n' .. message)
    redis.call('ZADD', index, ARGV[3], ARGV[1])
    return {KEYS[position], message}
  end
end
return false
"""
"""Move the message that waits longest, of the first list that has one, to the unacknowledged ones."""


@dataclass
class Taking:
    """The requests by which a worker takes messages from its queue, one at a time."""

    queue: str
    outstanding: str | None = None
    """The delivery tag of a message that may have been taken but was not seen yet."""
    _is_empty: bool = False

    def request(self) -> tuple[str, ...]:
        """Return the next command: to take a message or, if there was none, to wait for one."""
        if self._is_empty:
            live = list_of(self.queue, LIVE)
            return "BLMOVE", live, live, "RIGHT", "RIGHT", str(LOOK_S)
        self.outstanding = str(uuid.uuid4())
        keys = [*lists_of(self.queue), unacked_key(self.queue), unacked_index_key(self.queue)]
        return (
            "EVAL",
            _TAKE,
            str(len(keys)),
            *keys,
            self.outstanding,
            _MARK.decode(),
            str(time.time()),
        )

    def reply(self, reply: Any) -> tuple[str, bytes, str] | None:
        """Return the list, the message and the delivery tag in the reply to `request`; None without one."""
        if self._is_empty:
            self._is_empty = False
            return None
        if not reply:
            self.outstanding, self._is_empty = None, True
            return None
        key, message = reply
        return key.decode(), message, self.outstanding or ""

    def settled(self) -> None:
        """Note that the message is delivered, or stored as refused."""
        self.outstanding = None

    def broken(self) -> None:
        """Note that the connection broke: a reply may be lost."""
        self._is_empty = False


def list_and_message(queue: str, stored: bytes) -> tuple[str, bytes] | None:
    """Return the list that an unacknowledged message was taken from, and the message as it was there.

    None if it was stored by kombu.
    """
    if not stored.startswith(_MARK):
        return None
    key, _, message = stored.removeprefix(_MARK).partition(b"\n")
    lists: Sequence[str] = lists_of(queue)
    return (key.decode() if key.decode(errors="replace") in lists else list_of(queue)), message
