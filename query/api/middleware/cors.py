"""Which pages of other origins may call the API from a browser."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from flask import Flask, Response, request
from flask_cors import CORS

from query.api.middleware.request_ids import HEADER
from query.api.parameters import USER_HEADER

PATHS: Final = "/v1/"

PREFLIGHT_S: Final = 7200
"""For how long a browser may remember what is allowed; Chrome does not for longer."""


def add_cors(app: Flask, origins: Sequence[str]) -> None:
    """Let pages of these origins call the API. They send keys in headers; cookies do not count."""
    if not origins:
        return
    CORS(
        app,
        resources={f"{PATHS}.*": {"origins": list(origins)}},
        methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
        allow_headers=[
            "Authorization",
            "Content-Type",
            "Idempotency-Key",
            "If-None-Match",
            USER_HEADER,
            HEADER,
        ],
        expose_headers=["ETag", "Location", "Retry-After", HEADER],
        max_age=PREFLIGHT_S,
        send_wildcard=True,
    )
    if "*" not in origins:
        app.after_request(_vary_by_origin)


def _vary_by_origin(answer: Response) -> Response:
    """A copy for one origin, or for none, must not be shown to another."""
    if request.path.startswith(PATHS):
        answer.vary.add("Origin")
    return answer
