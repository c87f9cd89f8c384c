"""Failures as responses: the HTTP status of each, as problem+json, a page or a picture."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from http import HTTPStatus

from flask import Flask, Response, request
from werkzeug.datastructures import Headers
from werkzeug.exceptions import HTTPException

from query.api import responses as response
from query.api.errors import (
    EventsOff,
    InvalidKey,
    InvalidListings,
    KeyRequired,
    KeyReused,
    NoValidEvent,
    PhotoMissing,
    QueueFull,
    QueueUnavailable,
    RoleRequired,
    TooManyEvents,
    TooManyItems,
    TooManyRequests,
    UnknownJob,
)
from query.api.listing_ids import shown_path
from query.api.metrics import PROBLEMS
from query.search.errors import InvalidParameters, NoLiveIndex, QueryError, SearchUnavailable, UnknownItem
from query.web.pages import placeholder_svg, problem_page
from telemetry.secrets import redacted

logger = logging.getLogger(__name__)

PROBLEM_JSON = "application/problem+json"

# Long enough for a master election or a rolling restart of one node, short enough for a person to wait.
RETRY_AFTER_S = 5

_API_PATHS = ("/v1/", "/healthz", "/readyz", "/openapi.json", "/schemas/")


@dataclass(frozen=True)
class _Failure:
    """Status, type and title of a failure in a response."""

    type: str
    status: HTTPStatus


FAILURES: dict[type[QueryError], _Failure] = {
    UnknownItem: _Failure("unknown-item", HTTPStatus.NOT_FOUND),
    PhotoMissing: _Failure("photo-missing", HTTPStatus.NOT_FOUND),
    InvalidParameters: _Failure("invalid-parameters", HTTPStatus.BAD_REQUEST),
    NoLiveIndex: _Failure("no-live-index", HTTPStatus.SERVICE_UNAVAILABLE),
    SearchUnavailable: _Failure("search-unavailable", HTTPStatus.SERVICE_UNAVAILABLE),
    NoValidEvent: _Failure("no-valid-event", HTTPStatus.BAD_REQUEST),
    TooManyEvents: _Failure("too-many-events", HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    EventsOff: _Failure("events-off", HTTPStatus.SERVICE_UNAVAILABLE),
    QueueUnavailable: _Failure("queue-unavailable", HTTPStatus.SERVICE_UNAVAILABLE),
    KeyRequired: _Failure("key-required", HTTPStatus.UNAUTHORIZED),
    InvalidKey: _Failure("invalid-key", HTTPStatus.UNAUTHORIZED),
    RoleRequired: _Failure("role-required", HTTPStatus.FORBIDDEN),
    TooManyRequests: _Failure("too-many-requests", HTTPStatus.TOO_MANY_REQUESTS),
    QueueFull: _Failure("queue-full", HTTPStatus.TOO_MANY_REQUESTS),
    TooManyItems: _Failure("too-many-items", HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    KeyReused: _Failure("idempotency-key-reused", HTTPStatus.UNPROCESSABLE_ENTITY),
    UnknownJob: _Failure("unknown-job", HTTPStatus.NOT_FOUND),
}


def add_failures(app: Flask) -> None:
    """Let every failure of a route become a response."""
    app.register_error_handler(QueryError, _query_error)
    app.register_error_handler(HTTPException, _http_error)


def _query_error(error: QueryError) -> Response:
    failure = next(FAILURES[kind] for kind in type(error).__mro__ if kind in FAILURES)
    PROBLEMS.add(failure.type)
    if failure.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.error("%s %s: %s", request.method, shown_path(request.path), error)
    problems = error.problems if isinstance(error, InvalidParameters) else ()
    kind = response.ListingProblem if isinstance(error, InvalidListings) else response.ParameterProblem
    details = response.ProblemDetails(
        type=f"urn:nitamono:problem:{failure.type}",
        title=failure.status.phrase,
        status=failure.status,
        detail=str(error),
        instance=shown_path(request.path),
        problems=tuple(map(kind.of, problems)),
    )
    return _problem(details, Headers([*_retry_after(error, failure.status), *_challenges(error)]))


def _retry_after(error: QueryError, status: HTTPStatus) -> list[tuple[str, str]]:
    if isinstance(error, TooManyRequests):
        return [("Retry-After", str(error.retry_after_s))]
    # What is switched off does not come back by itself.
    retry = status is HTTPStatus.SERVICE_UNAVAILABLE and not isinstance(error, EventsOff)
    return [("Retry-After", str(RETRY_AFTER_S))] if retry else []


def _challenges(error: QueryError) -> list[tuple[str, str]]:
    """How to send a key (RFC 6750, RFC 7617). Only on pages may a browser ask its user for one."""
    if not isinstance(error, KeyRequired | InvalidKey):
        return []
    reason = ', error="invalid_token"' if isinstance(error, InvalidKey) else ""
    schemes = [f'Bearer realm="nitamono"{reason}']
    if not request.path.startswith(_API_PATHS):
        schemes.append('Basic realm="nitamono: the password is an API key", charset="UTF-8"')
    return [("WWW-Authenticate", scheme) for scheme in schemes]


def _http_error(error: HTTPException) -> Response:
    """Response to an error that Flask raised (no such route, method not allowed) or did not expect."""
    status = HTTPStatus(error.code or HTTPStatus.INTERNAL_SERVER_ERROR)
    details = response.ProblemDetails(
        type="about:blank",
        title=status.phrase,
        status=status,
        detail=error.description or status.description,
        instance=shown_path(request.path),
    )
    headers = Headers(error.get_headers(request.environ))
    headers.remove("Content-Type")
    return _problem(details, headers)


def _problem(details: response.ProblemDetails, headers: Headers) -> Response:
    """The failure in the form that was requested: a page, an image, or else problem+json."""
    form = _error_form()
    if form == "text/html":
        body = problem_page(details)
    elif form == "image/svg+xml":
        body = placeholder_svg().decode()
    else:
        body = details.model_dump_json()
    answer = Response(redacted(body), status=details.status, headers=headers)
    answer.content_type = f"{form}; charset=utf-8" if form == "text/html" else form
    if not request.path.startswith(_API_PATHS):
        answer.vary.add("Accept")
    return answer


def _error_form() -> str:
    if request.path.startswith(_API_PATHS):
        return PROBLEM_JSON
    # The first is what `*/*` gets. A page's <img> asks for pictures, and shows one that comes with a 404.
    return request.accept_mimetypes.best_match([PROBLEM_JSON, "text/html", "image/svg+xml"]) or PROBLEM_JSON
