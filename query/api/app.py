"""The Flask app: routes, and what surrounds them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from http import HTTPStatus
from importlib.metadata import version
from typing import TypeVar

from elasticsearch import Elasticsearch
from flask import Flask, Response, abort, request, send_file
from pydantic import BaseModel

from cache.answers import AnswerCache, cache_client
from events.names import event_queue
from mappings.listing import listing_schema
from monitoring.readings import readings
from monitoring.samples import Samples
from monitoring.state import StateReader
from query.access.key_ring import KeyRing
from query.access.roles import Role
from query.api import responses as response
from query.api.events import add_events
from query.api.experiments import experiment_aware_search
from query.api.failures import add_failures
from query.api.ingest.routes import add_ingest
from query.api.listing_ids import EncodedSlashes, ListingIdConverter
from query.api.metrics import begin_request, count_request
from query.api.middleware.authorization import Guard
from query.api.middleware.client_address import TrustedProxies
from query.api.middleware.compression import add_compression
from query.api.middleware.cors import add_cors
from query.api.middleware.request_ids import add_request_id, forget_request, number_request
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
from query.search.experiment_aware import ExperimentAwareSearch
from query.search.ranking import Ranking
from query.search.reader import IndexReader
from query.search.similar import SimilarService
from query.web.operator import operator_blueprint
from query.web.pages import pages_blueprint, swagger_blueprint
from query.web.reports import reports_blueprint
from queues.listings.names import listing_queue
from telemetry.endpoint import exposition
from telemetry.shared_files import collect

# A listing whose photos change gets new ones within minutes; until then a browser need not ask again.
PHOTO_MAX_AGE_S = 300

_SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' http: https: data:; object-src 'none'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
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
    add_ingest(app, settings, es)
    _add_operations(app, reader, slates, answers, similar.ranking, guard)
    _add_photos(app, listings, settings)
    app.register_blueprint(
        pages_blueprint(
            listings, slates, with_events=lambda: settings.user_salt is not None and guard.is_open()
        )
    )
    app.register_blueprint(reports_blueprint(settings.reports))
    app.register_blueprint(swagger_blueprint())
    _add_watching(app, settings, es, answers)
    add_failures(app)
    return app


def _add_middleware(app: Flask, settings: QuerySettings, guard: Guard) -> None:
    """Add what surrounds every route. The `after_request` functions run in the reverse order."""
    app.wsgi_app = TrustedProxies(  # type: ignore[method-assign]
        EncodedSlashes(app.wsgi_app), settings.access.trusted_proxies
    )
    app.before_request(begin_request)
    app.after_request(count_request)
    add_compression(app)
    add_cors(app, settings.access.cors_origins)
    app.after_request(_secured)
    app.after_request(add_request_id)
    app.before_request(number_request)
    app.teardown_request(forget_request)
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
            response.readiness(
                index,
                encoder,
                in_use,
                states,
                age_s,
                slates.off,
                answers.cache_counts,
                reader.counts(index, deadline),
            )
        )

    @app.get("/schemas/listing.json")
    def listing_schema_route() -> Response:
        return Response(json.dumps(listing_schema()), mimetype="application/schema+json")

    @app.get("/openapi.json")
    def openapi_route() -> Response:
        answer = Response(description, mimetype="application/json")
        return revalidated(answer, description, request, 0)


def _add_watching(app: Flask, settings: QuerySettings, es: Elasticsearch, answers: SimilarAnswers) -> None:
    """Add the metrics and the page for operators. Nothing is read before the first request."""
    prefix = settings.elasticsearch.prefix
    queues = (listing_queue(prefix), event_queue(prefix))
    state = StateReader(es, cache_client(settings.redis_url), prefix, queues)

    @app.get("/metrics")
    def metrics_route() -> Response:
        families = [*collect(), *readings(state.state())]
        body, content_type = exposition(families, request.headers.get("Accept", ""))
        return Response(body, content_type=content_type)

    app.register_blueprint(
        operator_blueprint(state, prefix, lambda: Samples.of(collect()), lambda: answers.cache_counts)
    )


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


def _secured(answer: Response) -> Response:
    for name, value in _SECURITY_HEADERS.items():
        answer.headers.setdefault(name, value)
    answer.headers.setdefault("Cache-Control", "no-store")
    return answer
