"""The Flask app: routes, and the HTTP status of each failure."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from importlib.metadata import version
from typing import TypeVar

from elasticsearch import Elasticsearch
from flask import Flask, Response, abort, request, send_file
from pydantic import BaseModel
from werkzeug.datastructures import Headers
from werkzeug.exceptions import HTTPException

from cache.answers import AnswerCache, cache_client
from mappings.listing import listing_schema
from query.access.key_ring import KeyRing
from query.access.keys import redacted
from query.access.roles import Role
from query.api import responses as response
from query.api.errors import (
    EventsOff,
    InvalidKey,
    KeyRequired,
    NoValidEvent,
    PhotoMissing,
    QueueUnavailable,
    RoleRequired,
    TooManyEvents,
    TooManyRequests,
)
from query.api.events import add_events
from query.api.experiments import experiment_aware_search
from query.api.listing_ids import EncodedSlashes, ListingIdConverter, shown_path
from query.api.middleware.authorization import Guard
from query.api.middleware.client_address import TrustedProxies
from query.api.middleware.compression import add_compression
from query.api.middleware.cors import add_cors
from query.api.middleware.request_ids import add_request_id, number_request
from query.api.openapi import openapi_document
from query.api.parameters import (
    USER_HEADER,
    ListingParameters,
    Parameters,
    VisitorParameters,
    known_id,
    parse,
)
from query.api.photos import open_photo
from query.api.revalidation import revalidated
from query.api.settings import QuerySettings
from query.api.similar_answers import SimilarAnswers
from query.search.browse import ListingService
from query.search.builder import KnnParameters
from query.search.errors import InvalidParameters, NoLiveIndex, QueryError, SearchUnavailable, UnknownItem
from query.search.experiment_aware import ExperimentAwareSearch
from query.search.ranking import Ranking
from query.search.reader import IndexReader
from query.search.similar import SimilarService
from query.web.pages import pages_blueprint, placeholder_svg, problem_page, swagger_blueprint
from query.web.reports import reports_blueprint

logger = logging.getLogger(__name__)

PROBLEM_JSON = "application/problem+json"

# Long enough for a master election or a rolling restart of one node, short enough for a person to wait.
RETRY_AFTER_S = 5

# A listing whose photos change gets new ones within minutes; until then a browser need not ask again.
PHOTO_MAX_AGE_S = 300

_API_PATHS = ("/v1/", "/healthz", "/readyz", "/openapi.json", "/schemas/")

_SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' http: https: data:; object-src 'none'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}


@dataclass(frozen=True)
class _Failure:
    """Status, type and title of a failure in a response."""

    type: str
    status: HTTPStatus


_FAILURES: dict[type[QueryError], _Failure] = {
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
}


P = TypeVar("P", bound=Parameters)


def create_app(settings: QuerySettings, es: Elasticsearch, keys: KeyRing | None = None) -> Flask:
    """Create the app: the API and its pages. Elasticsearch is not called before the first request.

    keys: the API keys; by default those in Elasticsearch.

    Raises:
        InvalidDefinition: an experiment's file cannot be used.
        UnusableRanking: a ranking file cannot be used.
    """
    app = Flask("query.web")
    app.url_map.converters["listing_id"] = ListingIdConverter
    app.json.sort_keys = False  # type: ignore[attr-defined]  # the description is read top down
    guard = Guard(settings, keys or KeyRing.of(es, settings.elasticsearch.prefix))
    _add_middleware(app, settings, guard)
    reader = IndexReader(es, settings.elasticsearch.prefix, settings.elasticsearch.timeout_s)
    listings, similar = (
        ListingService(reader),
        SimilarService(reader, policy=settings.policy, ranking=settings.ranking()),
    )
    slates = experiment_aware_search(settings, es, similar)
    answers = SimilarAnswers(
        slates, answer_cache(settings), configuration(settings, (similar.ranking, *slates.rankings))
    )
    _add_api(app, listings, answers, guard, max_age_s=settings.max_age_s, shared=not slates.has_experiments)
    add_events(app, settings)
    _add_operations(app, reader, slates, answers, similar.ranking, guard)
    _add_photos(app, listings, settings)
    app.register_blueprint(
        pages_blueprint(
            listings, slates, with_events=lambda: settings.user_salt is not None and guard.is_open()
        )
    )
    app.register_blueprint(reports_blueprint(settings.reports))
    app.register_blueprint(swagger_blueprint())
    app.register_error_handler(QueryError, _query_error)
    app.register_error_handler(HTTPException, _http_error)
    return app


def _add_middleware(app: Flask, settings: QuerySettings, guard: Guard) -> None:
    """Add what surrounds every route. The `after_request` functions run in the reverse order."""
    app.wsgi_app = TrustedProxies(  # type: ignore[method-assign]
        EncodedSlashes(app.wsgi_app), settings.access.trusted_proxies
    )
    add_compression(app)
    add_cors(app, settings.access.cors_origins)
    app.after_request(_secured)
    app.after_request(add_request_id)
    app.before_request(number_request)
    app.before_request(guard.check)


def answer_cache(settings: QuerySettings) -> AnswerCache:
    """The cache of the settings. Redis is not called before the first look-up."""
    client = cache_client(settings.redis_url)
    return AnswerCache(client, ttl_s=settings.cache_ttl_s, most=settings.cache_answers)


def configuration(settings: QuerySettings, rankings: Iterable[Ranking]) -> str:
    """Everything in this process that answers to the same request follow from.

    The name of a ranking has the hash of its file; weights that are set replace some of the file's.
    """
    ranked = [(each.name, dict(each.weights)) for each in rankings]
    return repr((version("nitamono"), settings.policy, KnnParameters(), ranked))


def _add_api(
    app: Flask,
    listings: ListingService,
    answers: SimilarAnswers,
    guard: Guard,
    *,
    max_age_s: int,
    shared: bool,
) -> None:
    def public_s() -> int:
        """For how long any cache may show a copy: not at all where a key is needed to read."""
        return max_age_s if guard.reads_are_public() else 0

    @app.get("/v1/listings")
    def listings_route() -> Response:
        page = response.listing_page(listings.page(_parameters(ListingParameters).request()))
        lasting = page.model_dump_json(exclude={"took_ms"}).encode()
        return revalidated(_json(page), lasting, request, public_s())

    @app.get("/v1/listings/<listing_id:item_id>")
    def listing_route(item_id: str) -> Response:
        _parameters(Parameters)
        answer = _json(response.detail(listings.find(known_id(item_id))))
        return revalidated(answer, answer.get_data(), request, public_s())

    @app.get("/v1/listings/<listing_id:item_id>/similar")
    def similar_route(item_id: str) -> Response:
        found = answers.answer(known_id(item_id), _visitor_parameters().visitor_request())
        answer = Response(found.body, mimetype="application/json")
        if found.is_attributed:
            return answer
        return revalidated(answer, found.lasting_content, request, public_s() if shared else 0)


def _add_operations(
    app: Flask,
    reader: IndexReader,
    slates: ExperimentAwareSearch,
    answers: SimilarAnswers,
    ranking: Ranking,
    guard: Guard,
) -> None:
    description = app.json.dumps(openapi_document()).encode()

    @app.get("/healthz")
    def healthz_route() -> Response:
        return _json(response.Health(status="ok"))

    @app.get("/readyz")
    def readyz_route() -> Response:
        caller = guard.counted_caller()
        deadline = reader.deadline()
        index, encoder = reader.live(deadline)
        states = tuple(slates.states(deadline))  # reads the kill switch, before its age
        in_use = response.RankingState(
            name=ranking.name,
            in_use=ranking.applied_to(index, encoder).name,
            problem=ranking.objection(index, encoder),
        )
        age_s = slates.switches_age_s()
        if not caller.may(Role.READ):
            return _json(response.Health(status="ready"))
        return _json(
            response.readiness(index, encoder, in_use, states, age_s, slates.off, answers.cache_counts)
        )

    @app.get("/schemas/listing.json")
    def listing_schema_route() -> Response:
        return Response(json.dumps(listing_schema()), mimetype="application/schema+json")

    @app.get("/openapi.json")
    def openapi_route() -> Response:
        answer = Response(description, mimetype="application/json")
        return revalidated(answer, description, request, 0)


def _add_photos(app: Flask, listings: ListingService, settings: QuerySettings) -> None:
    @app.get("/photos/<listing_id:item_id>/<number>")
    def photo_route(item_id: str, number: str) -> Response:
        if not number.isascii() or not number.isdigit() or len(number) > 4:
            abort(HTTPStatus.NOT_FOUND)
        document = listings.find(known_id(item_id)).document
        photo = open_photo(document, int(number), settings.image_roots)
        return send_file(
            photo.stream,
            mimetype=photo.mimetype,
            etag=photo.etag,
            last_modified=photo.modified,
            max_age=PHOTO_MAX_AGE_S,
        )


def _parameters(model: type[P]) -> P:
    return parse(model, request.args.to_dict(flat=False))


def _visitor_parameters() -> VisitorParameters:
    """Parameters of the query string; a user named by the header is one more value of `user_id`."""
    given = request.args.to_dict(flat=False)
    if user := request.headers.get(USER_HEADER):
        # WSGI reads headers as Latin-1, and clients send UTF-8.
        given.setdefault("user_id", []).append(user.encode("latin-1").decode(errors="replace"))
    return parse(VisitorParameters, given)


def _json(model: BaseModel) -> Response:
    return Response(model.model_dump_json(), mimetype="application/json")


def _query_error(error: QueryError) -> Response:
    failure = next(_FAILURES[kind] for kind in type(error).__mro__ if kind in _FAILURES)
    if failure.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.error("%s %s: %s", request.method, shown_path(request.path), error)
    problems = error.problems if isinstance(error, InvalidParameters) else ()
    details = response.ProblemDetails(
        type=f"urn:nitamono:problem:{failure.type}",
        title=failure.status.phrase,
        status=failure.status,
        detail=str(error),
        instance=shown_path(request.path),
        problems=tuple(response.ParameterProblem.of(problem) for problem in problems),
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


def _secured(answer: Response) -> Response:
    for name, value in _SECURITY_HEADERS.items():
        answer.headers.setdefault(name, value)
    answer.headers.setdefault("Cache-Control", "no-store")
    return answer
