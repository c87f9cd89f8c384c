"""The routes that write listings and say what became of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import quote

from elasticsearch import Elasticsearch
from flask import Flask, Response, g, request

from mappings.changes import PUT, REMOVE, UPDATE
from mappings.errors import Problem
from mappings.failures import ElasticsearchUnavailable
from query.api.errors import InvalidListings
from query.api.ingest.bodies import Body, read_batch, read_listing
from query.api.ingest.events import checked, mismatches, operation
from query.api.ingest.models import IndexingAnswer, RemovalParameters, WriteParameters
from query.api.ingest.requests import ListingRequests, Once, Written, redis_errors
from query.api.middleware.authorization import Caller
from query.api.parameters import Parameters, known_id, parse
from query.api.settings import QuerySettings
from query.search.errors import InvalidParameters, SearchUnavailable, UnusableParameter
from queues.listings.sending import EVENTS_IN_A_MESSAGE
from queues.listings.status import IndexingStatuses

P = TypeVar("P", bound=Parameters)

IDEMPOTENCY_KEY = "Idempotency-Key"
MOST_KEY = 255


def add_ingest(app: Flask, settings: QuerySettings, es: Elasticsearch) -> None:
    """Add the routes that write listings, and those that say what became of them."""
    requests = ListingRequests(settings)
    statuses = IndexingStatuses(es, requests.client, settings.elasticsearch.prefix)
    _add_writes(app, requests)

    @app.post("/v1/listings:batch")
    def batch_route() -> Response:
        parameters = _parameters(WriteParameters)
        body = read_batch(request)
        if parameters.wait and len(body.items) > EVENTS_IN_A_MESSAGE:
            found, expected = f"true for {len(body.items):,} items", f"it for at most {EVENTS_IN_A_MESSAGE}"
            raise InvalidParameters((UnusableParameter("wait", "wait_too_many", found, expected),))
        items = checked(body.items, datetime.now(UTC))
        return _answer(requests.write_batch(items, _once(body.digest), wait=parameters.wait))

    @app.get("/v1/jobs/<job_id>")
    def job_route(job_id: str) -> Response:
        _parameters(Parameters)
        return Response(requests.job(job_id).model_dump_json(), mimetype="application/json")

    @app.get("/v1/listings/<listing_id:item_id>/indexing")
    def indexing_route(item_id: str) -> Response:
        _parameters(Parameters)
        try:
            with redis_errors():
                status = statuses.of(known_id(item_id))
        except ElasticsearchUnavailable as error:
            raise SearchUnavailable(f"Elasticsearch does not answer: {error.detail}") from error
        return Response(IndexingAnswer.of(status).model_dump_json(), mimetype="application/json")


def _add_writes(app: Flask, requests: ListingRequests) -> None:
    def write(name: str, item_id: str, body: Body, fields: Any, *, wait: bool) -> Response:
        """Answer a request for an operation on one item."""
        problems: tuple[Problem, ...] = tuple(mismatches(name, item_id, fields))
        items = checked([operation(name, item_id, fields)], datetime.now(UTC))
        if problems:
            invalid = (*problems, *items.invalid.get(0, ())) if isinstance(fields, dict) else problems
            raise InvalidListings(invalid)
        location = f"/v1/listings/{quote(item_id, safe='')}/indexing"
        return _answer(requests.write_one(items, _once(body.digest), wait=wait, location=location))

    @app.put("/v1/listings/<listing_id:item_id>")
    def put_route(item_id: str) -> Response:
        parameters, body = _parameters(WriteParameters), read_listing(request)
        return write(PUT, item_id, body, body.items[0], wait=parameters.wait)

    @app.patch("/v1/listings/<listing_id:item_id>")
    def patch_route(item_id: str) -> Response:
        parameters, body = _parameters(WriteParameters), read_listing(request)
        return write(UPDATE, item_id, body, body.items[0], wait=parameters.wait)

    @app.delete("/v1/listings/<listing_id:item_id>")
    def delete_route(item_id: str) -> Response:
        parameters = _parameters(RemovalParameters)
        fields = {"updated_at": parameters.updated_at}
        return write(REMOVE, item_id, Body((), ""), fields, wait=parameters.wait)


def _parameters(model: type[P]) -> P:
    return parse(model, request.args.to_dict(flat=False))


def _once(digest: str) -> Once | None:
    """Return the key of the current request, if it has one.

    Raises:
        InvalidParameters: it cannot be used.
    """
    key = request.headers.get(IDEMPOTENCY_KEY)
    if key is None:
        return None
    if not 0 < len(key) <= MOST_KEY or not key.isascii() or not key.isprintable():
        expected = f"1 to {MOST_KEY} printable ASCII characters"
        raise InvalidParameters(
            (
                UnusableParameter(
                    IDEMPOTENCY_KEY, "idempotency_key_malformed", f"{len(key)} characters", expected
                ),
            )
        )
    caller: Caller = g.caller
    return Once.of(caller.key_id or "", key, request.method, request.full_path, digest)


def _answer(written: Written) -> Response:
    answer = Response(written.body.model_dump_json(), written.status, mimetype="application/json")
    answer.headers["Location"] = written.location
    return answer
