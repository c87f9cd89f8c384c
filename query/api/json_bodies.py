"""Bodies of requests as bytes of JSON, within a limit."""

from __future__ import annotations

from flask import Request
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from mappings.problems import shown


def json_bytes(request: Request, most: int, also: str = "") -> bytes:
    """Return the body of a request that says that it is JSON.

    most: bytes that it may have. also: what else the route reads, for the message.

    Raises:
        HTTPException: it is larger, compressed, or of another media type.
    """
    check_encoding(request)
    if not request.is_json:
        found = request.mimetype or "none"
        raise UnsupportedMediaType(f"Content-Type: found {found}, expected application/json{also}")
    request.max_content_length = most + 1  # a body without a length is cut off there, without an error
    try:
        data = request.get_data(cache=False)
    except RequestEntityTooLarge as error:
        raise too_large(most) from error
    if len(data) > most:
        raise too_large(most)
    return data


def too_large(most: int) -> RequestEntityTooLarge:
    """The error for a body of more than `most` bytes."""
    return RequestEntityTooLarge(f"the body has more than {most:,} bytes; send it in parts, or shorten it")


def check_encoding(request: Request) -> None:
    """Check that the body is not compressed.

    Raises:
        UnsupportedMediaType: it is.
    """
    encoding = request.headers.get("Content-Encoding", "identity")
    if encoding != "identity":
        raise UnsupportedMediaType(f"Content-Encoding: found {shown(encoding)}, expected none")
