"""Bodies of requests that write listings, read within limits of bytes, items and nesting."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from flask import Request
from werkzeug.exceptions import RequestEntityTooLarge

from mappings.errors import Problem
from mappings.json_problems import NOT_JSON, not_json, refuse_constant
from mappings.problems import shown
from query.api.errors import InvalidListings, TooManyItems
from query.api.ingest.models import MAX_ITEMS
from query.api.json_bodies import check_encoding, json_bytes, too_large
from queues.messages import is_deeper

MAX_BYTES: Final = 256 * 1024
"""Of one listing. The longest valid one has about 150 KiB."""

MAX_BATCH_BYTES: Final = 8 * 2**20
MAX_DEPTH: Final = 8
"""Levels of nesting in a listing, which needs three."""

NDJSON: Final = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl"})
READ_AT_ONCE: Final = 64 * 1024

A_LISTING: Final = "a JSON object with the fields of a listing"
A_BATCH: Final = '{"listings": [{…}, …]}, or a line of JSON for each listing as application/x-ndjson'


@dataclass(frozen=True)
class Unreadable:
    """An item of a batch that is no JSON, or too deep or long."""

    problem: Problem


@dataclass(frozen=True)
class Body:
    """The items of a body, and a fingerprint of its bytes."""

    items: tuple[Any, ...]
    digest: str


def read_listing(request: Request) -> Body:
    """Return the JSON object of a body.

    Raises:
        InvalidListings: it is no JSON, or nests too deep.
        HTTPException: it is too large, or not of this media type.
    """
    data = json_bytes(request, MAX_BYTES)
    item = _within_depth(_body(data, A_LISTING))
    if isinstance(item, Unreadable):
        raise InvalidListings((item.problem,))
    return Body((item,), _digest(data))


def read_batch(request: Request) -> Body:
    """Return the items of a batch, in NDJSON or as `{"listings": […]}`; those that are no JSON as Unreadable.

    NDJSON is parsed line by line, so that of a body beyond the limits no more than a line is kept.

    Raises:
        InvalidListings: the body has no items, or is no JSON.
        TooManyItems, HTTPException: it has too many items, is too large, or not of these media types.
    """
    if request.mimetype in NDJSON:
        return _read_lines(request)
    data = json_bytes(request, MAX_BATCH_BYTES, also=", or application/x-ndjson of a batch")
    batch = _body(data, A_BATCH)
    items = batch.get("listings") if isinstance(batch, dict) else None
    if not isinstance(items, list) or not items:
        _no_items(shown(batch))
    if len(items) > MAX_ITEMS:
        _too_many()
    return Body(tuple(_within_depth(item) for item in items), _digest(data))


def _read_lines(request: Request) -> Body:
    check_encoding(request)
    request.max_content_length = MAX_BATCH_BYTES
    digest = hashlib.sha256()
    items: list[Any] = []
    for line in _lines(request, digest):
        if len(items) == MAX_ITEMS:
            _too_many()
        items.append(_line(line))
    if not items:
        _no_items("no lines")
    return Body(tuple(items), digest.hexdigest())


def _lines(request: Request, digest: Any) -> Iterator[bytes]:
    """Yield the lines of a body that are not blank, and add all of its bytes to the digest."""
    rest = b""
    for part in _parts(request):
        digest.update(part)
        *lines, rest = (rest + part).split(b"\n")
        yield from (line for line in lines if line.strip())
        if len(rest) > MAX_BYTES:
            raise RequestEntityTooLarge(f"a line has more than {MAX_BYTES:,} bytes")
    if rest.strip():
        yield rest


def _parts(request: Request) -> Iterator[bytes]:
    try:
        while part := request.stream.read(READ_AT_ONCE):
            yield part
    except RequestEntityTooLarge as error:
        raise too_large(MAX_BATCH_BYTES) from error


def _line(data: bytes) -> Any:
    """Return the item on a line."""
    if len(data) > MAX_BYTES:
        found = f"{len(data):,} bytes"
        return Unreadable(Problem("listing", "listing_too_large", found, f"at most {MAX_BYTES:,} bytes"))
    try:
        return _within_depth(_loaded(data))
    except NOT_JSON as error:
        found = not_json(error, of_line=True)
        return Unreadable(Problem("listing", "invalid_json", found, A_LISTING))


def _body(data: bytes, expected: str) -> Any:
    """Return the value of a whole body, of any depth.

    Raises:
        InvalidListings: it is no JSON.
    """
    try:
        return _loaded(data)
    except NOT_JSON as error:
        raise InvalidListings((Problem("body", "invalid_json", not_json(error), expected),)) from error


def _loaded(data: bytes) -> Any:
    return json.loads(data, parse_constant=refuse_constant)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _within_depth(item: Any) -> Any:
    if is_deeper(item, MAX_DEPTH):
        found = f"more than {MAX_DEPTH} levels of nesting"
        return Unreadable(Problem("listing", "listing_too_deep", found, "the fields of a listing"))
    return item


def _no_items(found: str) -> NoReturn:
    raise InvalidListings((Problem("listings", "listings_missing", found, A_BATCH),))


def _too_many() -> NoReturn:
    raise TooManyItems(f"more than {MAX_ITEMS:,} listings in one request; send them in several")
