"""Bodies of requests that write listings, read within limits of bytes, items and nesting."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from flask import Request
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from mappings.errors import Problem
from mappings.problems import shown
from query.api.errors import TooManyItems
from query.api.ingest.models import MAX_ITEMS
from query.search.errors import InvalidParameters
from queues.messages import is_deeper

MAX_BYTES: Final = 256 * 1024
"""Of one listing. The longest valid one has about 150 KiB."""

MAX_BATCH_BYTES: Final = 8 * 2**20
MAX_DEPTH: Final = 8
"""Levels of nesting in a listing, which needs three."""

NDJSON: Final = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl"})
READ_AT_ONCE: Final = 64 * 1024


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
        InvalidParameters: it is no JSON object, or nests too deep.
        HTTPException: it is too large, or not of this media type.
    """
    found = _read_json(request, MAX_BYTES)
    (item,) = found.items
    if isinstance(item, Unreadable):
        raise InvalidParameters((item.problem,))
    return found


def read_batch(request: Request) -> Body:
    """Return the items of a batch, in NDJSON or as `{"listings": […]}`; those that are no JSON as Unreadable.

    NDJSON is parsed line by line, so that of a body beyond the limits no more than a line is kept.

    Raises:
        InvalidParameters: the body has no items, or is no JSON.
        TooManyItems, HTTPException: it has too many items, is too large, or not of these media types.
    """
    if request.mimetype in NDJSON:
        return _read_lines(request)
    found = _read_json(request, MAX_BATCH_BYTES)
    (batch,) = found.items
    if isinstance(batch, Unreadable):
        raise InvalidParameters((batch.problem,))
    items = batch.get("listings") if isinstance(batch, dict) else None
    if not isinstance(items, list) or not items:
        _no_items(shown(batch))
    if len(items) > MAX_ITEMS:
        _too_many()
    return Body(tuple(_within_depth(item) for item in items), found.digest)


def _read_lines(request: Request) -> Body:
    _check_encoding(request)
    request.max_content_length = MAX_BATCH_BYTES
    digest = hashlib.sha256()
    items: list[Any] = []
    for line in _lines(request, digest):
        if len(items) == MAX_ITEMS:
            _too_many()
        items.append(_parsed(line, MAX_DEPTH))
    if not items:
        _no_items("no lines")
    return Body(tuple(items), digest.hexdigest())


def _lines(request: Request, digest: Any) -> Iterator[bytes]:
    """Yield the lines of a body that are not blank, and add all of its bytes to the digest."""
    rest = b""
    while part := request.stream.read(READ_AT_ONCE):
        digest.update(part)
        *lines, rest = (rest + part).split(b"\n")
        yield from (line for line in lines if line.strip())
        if len(rest) > MAX_BYTES:
            raise RequestEntityTooLarge(f"a line has more than {MAX_BYTES:,} bytes")
    if rest.strip():
        yield rest


def _read_json(request: Request, most: int) -> Body:
    """Return the one value of a JSON body; no depth is checked in that of a batch."""
    _check_encoding(request)
    if not request.is_json:
        found = request.mimetype or "none"
        expected = "application/json" + (
            ", or application/x-ndjson of a batch" if most == MAX_BATCH_BYTES else ""
        )
        raise UnsupportedMediaType(f"Content-Type: found {found}, expected {expected}")
    request.max_content_length = most
    try:
        data = request.get_data(cache=False)
    except RequestEntityTooLarge as error:
        raise RequestEntityTooLarge(f"the body has more than {most:,} bytes") from error
    item = _parsed(data, None if most == MAX_BATCH_BYTES else MAX_DEPTH)
    return Body((item,), hashlib.sha256(data).hexdigest())


def _check_encoding(request: Request) -> None:
    encoding = request.headers.get("Content-Encoding", "identity")
    if encoding != "identity":
        raise UnsupportedMediaType(f"Content-Encoding: found {shown(encoding)}, expected none")


def _parsed(data: bytes, depth: int | None) -> Any:
    if depth is not None and len(data) > MAX_BYTES:
        found = f"{len(data):,} bytes"
        return Unreadable(Problem("listing", "listing_too_large", found, f"at most {MAX_BYTES:,} bytes"))
    try:
        item = json.loads(data, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        return Unreadable(Problem("listing", "invalid_json", str(error)[:200], "JSON in UTF-8"))
    return item if depth is None else _within_depth(item)


def _within_depth(item: Any) -> Any:
    if is_deeper(item, MAX_DEPTH):
        found = f"more than {MAX_DEPTH} levels of nesting"
        return Unreadable(Problem("listing", "listing_too_deep", found, "the fields of a listing"))
    return item


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _no_items(found: str) -> NoReturn:
    expected = '{"listings": [{…}, …]}, or a line of JSON for each listing as application/x-ndjson'
    raise InvalidParameters((Problem("listings", "listings_missing", found, expected),))


def _too_many() -> NoReturn:
    raise TooManyItems(f"more than {MAX_ITEMS:,} listings in one request; send them in several")
