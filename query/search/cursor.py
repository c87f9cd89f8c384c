"""Cursors of similar items: what the pages before have shown, so that no page repeats or skips an item.

A cursor is opaque and needs no storage: it holds a hash of each item shown, the question, and the state of
the index, under a key that Elasticsearch and the API alone know, the index's UUID. A page is the answer of
all pages so far, searched that deep, without the items shown: it cannot repeat one, and cannot skip one that
a deeper search finds at an earlier rank.
"""

from __future__ import annotations

import hmac
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections.abc import Iterable
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Final

from query.search.errors import UnusableCursor, UnusableParameter
from query.search.request import SimilarRequest

MAX_SHOWN: Final = 240
"""Items over all pages: ten of the usual size. The search of a page is as deep as all before it."""

LIFETIME_S: Final = 3_600

_VERSION: Final = b"\x01"
_HASH_BYTES: Final = 6
_DIGEST_BYTES: Final = 8
_MAC_BYTES: Final = 12
_HEAD_BYTES: Final = len(_VERSION) + 3 * _DIGEST_BYTES + 4

MAX_LENGTH: Final = 4 * (_HEAD_BYTES + _HASH_BYTES * MAX_SHOWN + _MAC_BYTES) // 3 + 4
"""Characters of the longest cursor."""


@dataclass(frozen=True)
class Cursor:
    """The position after some pages."""

    shown: frozenset[bytes]
    """A hash of the id of each item shown."""
    state: bytes
    """A digest of the index's state before the first page."""

    def has_shown(self, item_id: str) -> bool:
        """Whether a page before has the item."""
        return _item_hash(item_id) in self.shown

    def after(self, item_ids: Iterable[str]) -> Cursor:
        """The position after one more page."""
        return replace(self, shown=self.shown | {_item_hash(each) for each in item_ids})


def first_page(state: str) -> Cursor:
    """The position before any page."""
    return Cursor(frozenset(), digest(state))


def digest(text: str) -> bytes:
    """A short hash of a text."""
    return blake2b(text.encode(), digest_size=_DIGEST_BYTES).digest()


def question(item_id: str, request: SimilarRequest) -> str:
    """What all pages have in common: the item and the request, whichever page it asks for."""
    return repr((item_id, replace(request, cursor=None, explain=False, explain_missing=())))


def encode(cursor: Cursor, asked: str, index_uuid: str, now: float | None = None) -> str:
    """The cursor as text for a URL."""
    issued = int(time.time() if now is None else now).to_bytes(4, "big")
    payload = b"".join(
        [_VERSION, digest(index_uuid), digest(asked), cursor.state, issued, *sorted(cursor.shown)]
    )
    return urlsafe_b64encode(payload + _mac(payload, index_uuid)).rstrip(b"=").decode()


def decode(text: str, asked: str, index_uuid: str, now: float | None = None) -> Cursor:
    """The cursor that `encode` gave for the same question and index.

    Raises:
        UnusableCursor: it is of another index or question, has expired, or was changed.
    """
    payload, mac = _parts(text)
    own_index, own_question, state = (
        payload[start : start + _DIGEST_BYTES] for start in range(1, 1 + 3 * _DIGEST_BYTES, _DIGEST_BYTES)
    )
    if own_index != digest(index_uuid):
        raise _unusable(
            "cursor_outdated",
            text,
            "one of the index that answers, a new one or that of another arm",
        )
    if not hmac.compare_digest(mac, _mac(payload, index_uuid)):
        raise _unusable("cursor_malformed", text, "a `next_cursor` as it was given")
    if own_question != digest(asked):
        raise _unusable("cursor_of_another_request", text, "the item and parameters of the page it is from")
    age = (time.time() if now is None else now) - int.from_bytes(
        payload[_HEAD_BYTES - 4 : _HEAD_BYTES], "big"
    )
    if age > LIFETIME_S:
        raise _unusable("cursor_expired", text, f"one less than {LIFETIME_S // 60} minutes old")
    hashes = payload[_HEAD_BYTES:]
    shown = (hashes[start : start + _HASH_BYTES] for start in range(0, len(hashes), _HASH_BYTES))
    return Cursor(frozenset(shown), state)


def _parts(text: str) -> tuple[bytes, bytes]:
    """Payload and authentication code of a cursor.

    Raises:
        UnusableCursor: it is malformed.
    """
    try:
        raw = urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4))
    except (NotBase64, ValueError):
        raw = b""
    payload, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
    if len(payload) < _HEAD_BYTES or payload[:1] != _VERSION:
        raise _unusable("cursor_malformed", text, "a `next_cursor` as it was given")
    return payload, mac


def _unusable(reason: str, text: str, expected: str) -> UnusableCursor:
    found = repr(text if len(text) <= 20 else f"{text[:20]}…")
    expected = f"{expected}; leave it out to begin with the first page"
    return UnusableCursor((UnusableParameter("cursor", reason, found, expected),))


def _mac(payload: bytes, index_uuid: str) -> bytes:
    return blake2b(payload, key=index_uuid.encode(), digest_size=_MAC_BYTES).digest()


def _item_hash(item_id: str) -> bytes:
    return blake2b(item_id.encode(), digest_size=_HASH_BYTES).digest()
