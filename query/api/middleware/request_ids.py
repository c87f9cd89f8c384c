"""The id of each request, by which the lines of several logs and a report of a fault are matched."""

from __future__ import annotations

import re
import secrets
from typing import Final

from flask import Response, g, has_request_context, request

from query.access.keys import redacted

HEADER: Final = "X-Request-Id"

_ACCEPTED: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{7,63}")


def number_request() -> None:
    """Note the id of the current request. It is a `before_request` function."""
    g.request_id = accepted(request.headers.get(HEADER, "")) or secrets.token_hex(16)


def add_request_id(answer: Response) -> Response:
    """Add the id to a response. It is an `after_request` function."""
    answer.headers[HEADER] = g.request_id
    return answer


def current_request_id() -> str:
    """Return the id of the current request, or a dash outside of one."""
    return str(g.get("request_id", "-")) if has_request_context() else "-"


def accepted(text: str) -> str | None:
    """Return an id that a client sent, if it is short, without line breaks and no API key."""
    return text if _ACCEPTED.fullmatch(text) and redacted(text) == text else None
