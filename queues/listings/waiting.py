"""Whether an event of an item waits: in the queue, at a worker, or parked."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, cast

import redis

from mappings.listing import item_id_of
from queues.lanes import lists_of, unacked_key
from queues.listings.names import gathered_key
from queues.messages import task_id_in
from queues.parking import ParkedEvent, ParkingLot
from queues.taking import list_and_message

MOST_SEARCHED: Final = 64 * 2**20
"""Bytes of messages that are searched. A bounded queue has less."""

AT_ONCE: Final = 50


@dataclass(frozen=True)
class WaitingEvents:
    """The events of a queue that have no document and no dead letter yet."""

    client: redis.Redis
    queue: str

    def is_queued(self, item_id: str) -> bool:
        """Return whether a message in the queue, or at a worker, has an event of the item.

        Raises:
            RedisError: Redis does not answer.
        """
        searched = 0
        for raw in self._messages():
            if _is_about(raw, item_id):
                return True
            searched += len(raw)
            if searched > MOST_SEARCHED:
                return False
        return False

    def parked(self, prefix: str, item_id: str) -> ParkedEvent | None:
        """Return a parked event of the item, if there is one.

        Raises:
            RedisError: Redis does not answer.
        """
        for parked in ParkingLot(self.client, prefix).search():
            if isinstance(parked.event, dict) and item_id_of(parked.event) == item_id:
                return parked
        return None

    def _messages(self) -> Iterator[bytes]:
        """Yield the messages of the queue and of its workers. One that moves meanwhile is seen at its new
        place: it goes from a list to a worker."""
        for key in lists_of(self.queue):
            yield from self._list(key)
        for _, stored in self.client.hscan_iter(unacked_key(self.queue), count=AT_ONCE):
            taken = list_and_message(self.queue, stored)
            yield taken[1] if taken else stored
            if taken and (task_id := task_id_in(taken[1])):
                yield from self._list(gathered_key(self.queue, task_id))

    def _list(self, key: str) -> Iterator[bytes]:
        """Yield a list from the end that workers take from, in pages."""
        end = -1
        while page := cast("list[bytes]", self.client.lrange(key, end - AT_ONCE + 1, end)):
            yield from reversed(page)
            if len(page) < AT_ONCE:
                return
            end -= AT_ONCE


def _is_about(raw: bytes, item_id: str) -> bool:
    """Return whether a message has an event of the item: first by its text, which is quick."""
    body = _body_in(raw)
    text = body.replace(b"\\/", b"/") if "/" in item_id else body
    if item_id.encode() not in text and json.dumps(item_id)[1:-1].encode() not in text:
        return False
    try:
        entries = json.loads(body)[0][0]
        return any(_item_of(entry) == item_id for entry in entries)
    except (ValueError, TypeError, LookupError, RecursionError):
        return False


def _item_of(entry: object) -> object:
    """Return the item of an event, or an id itself, which is what a removal has."""
    return item_id_of(entry) if isinstance(entry, dict) else entry


def _body_in(raw: bytes) -> bytes:
    """Return the decoded body of a message, or nothing."""
    _, _, rest = raw.partition(b'"body"')
    start = rest.find(b'"')
    text = rest[start + 1 : rest.find(b'"', start + 1)] if start >= 0 else b""
    try:
        return base64.b64decode(text)
    except ValueError:
        return b""
