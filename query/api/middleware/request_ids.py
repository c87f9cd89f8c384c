"""The ids of each request, by which the lines of several logs and a report of a fault are matched."""

from __future__ import annotations

import re
import secrets
from typing import Final

from flask import Response, g, request

from telemetry.ids import TRACEPARENT, Ids, clear_ids, new_trace_id, trace_id_in, use_ids
from telemetry.secrets import redacted

HEADER: Final = "X-Request-Id"

_ACCEPTED: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{7,63}")


def number_request() -> None:
    """Note the ids of the current request. It is a `before_request` function."""
    g.ids = Ids(
        request_id=accepted(request.headers.get(HEADER, "")) or secrets.token_hex(16),
        trace_id=trace_id_in(request.headers.get(TRACEPARENT, "")) or new_trace_id(),
    )
    request.environ["nitamono.ids"] = g.ids  # for the access log, which is written after the request
    use_ids(g.ids)


def add_request_id(answer: Response) -> Response:
    """Add the id to a response. It is an `after_request` function."""
    answer.headers[HEADER] = g.ids.request_id
    return answer


def forget_request(error: BaseException | None = None) -> None:
    """Note that the request has ended. It is a `teardown_request` function."""
    del error
    clear_ids()


def accepted(text: str) -> str | None:
    """Return an id that a client sent, if it is short, without line breaks and no API key."""
    return text if _ACCEPTED.fullmatch(text) and redacted(text) == text else None
