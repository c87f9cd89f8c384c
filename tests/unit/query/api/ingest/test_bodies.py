"""Bodies of requests that change listings."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import pytest
from flask import Flask, Request, request
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from query.api.ingest.bodies import MAX_BATCH_BYTES, MAX_BYTES, read_batch, read_listing


def test_a_body_that_is_too_large_is_refused_with_the_limit() -> None:
    """A batch has a limit of its own."""
    data = b'{"title": "' + b"x" * MAX_BYTES + b'"}'
    with (
        Flask("shop").test_request_context(method="PUT", data=data, content_type="application/json"),
        pytest.raises(RequestEntityTooLarge, match="more than 262,144 bytes"),
    ):
        read_listing(request)


@pytest.mark.parametrize(
    ("read", "mimetype", "most"),
    [
        (read_listing, "application/json", "262,144"),
        (read_batch, "application/json", "8,388,608"),
        (read_batch, "application/x-ndjson", "8,388,608"),
    ],
)
def test_a_chunked_body_that_is_too_large_is_not_cut_off(
    read: Callable[[Request], object], mimetype: str, most: str
) -> None:
    """Its beginning would be a valid body."""
    data = b'{"listings": [{}]}\n' + b"\n" * MAX_BATCH_BYTES
    with (
        Flask("shop").test_request_context(
            method="POST",
            input_stream=BytesIO(data),
            content_type=mimetype,
            headers={"Transfer-Encoding": "chunked"},
            environ_overrides={"wsgi.input_terminated": True},
        ),
        pytest.raises(RequestEntityTooLarge, match=f"the body has more than {most} bytes"),
    ):
        read(request)


def test_another_media_type_is_refused_with_those_that_are_read() -> None:
    """NDJSON is for batches alone."""
    sent = {"method": "POST", "data": b"a,b", "content_type": "text/csv"}
    with Flask("shop").test_request_context(**sent):
        with pytest.raises(UnsupportedMediaType, match=r"found text/csv, expected application/json$"):
            read_listing(request)
        with pytest.raises(UnsupportedMediaType, match="expected application/json, or application/x-ndjson"):
            read_batch(request)
