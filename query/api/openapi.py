"""The OpenAPI 3.1 description of the API, generated from the models that validate and answer."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from events.schema import EVENT_TYPES
from query.access.roles import Role
from query.api.events import EventBatch, EventsAccepted
from query.api.middleware.authorization import required_role
from query.api.parameters import ItemPath, ListingParameters, Parameters, UserHeader, VisitorParameters
from query.api.responses import (
    Health,
    ListingDetail,
    ListingPage,
    ProblemDetails,
    Readiness,
    SimilarAnswer,
)

_REFERENCE = "#/components/schemas/{model}"


@dataclass(frozen=True)
class Operation:
    """One operation of the API."""

    path: str
    operation_id: str
    summary: str
    answer: type[BaseModel]
    query: type[Parameters] | None = None
    errors: tuple[int, ...] = ()
    tag: str = "listings"
    headers: type[Parameters] | None = None
    body: type[BaseModel] | None = None
    """What is sent, by POST; without one the operation is a GET."""
    status: int = 200
    answer_without_key: type[BaseModel] | None = None
    """The answer to callers without the role read, where it is another."""

    @property
    def method(self) -> str:
        """The method, in capitals."""
        return "POST" if self.body else "GET"

    @property
    def role(self) -> Role | None:
        """The role that it needs."""
        return required_role(self.method, self.path.replace("{item_id}", "<listing_id:item_id>"))


OPERATIONS = (
    Operation(
        "/v1/listings/{item_id}/similar",
        "similar",
        "Items that look like one, are for sale, cost about as much and are of the same kind",
        SimilarAnswer,
        VisitorParameters,
        (400, 404, 503),
        headers=UserHeader,
    ),
    Operation("/v1/listings/{item_id}", "listing", "One listing", ListingDetail, None, (400, 404, 503)),
    Operation(
        "/v1/listings",
        "listings",
        "Listings by the words of their titles, newest first",
        ListingPage,
        ListingParameters,
        (400, 503),
    ),
    Operation(
        "/v1/events",
        "events",
        "Take impressions, taps, item views, purchases and complaints; user ids are hashed at once",
        EventsAccepted,
        errors=(400, 413, 415, 503),
        tag="events",
        body=EventBatch,
        status=202,
    ),
    Operation("/healthz", "healthz", "Whether the process runs", Health, tag="operation"),
    Operation(
        "/readyz",
        "readyz",
        "Whether Elasticsearch answers and an index is live",
        Readiness,
        errors=(401, 429, 503),
        tag="operation",
        answer_without_key=Health,
    ),
)

_ERRORS = {
    400: "Parameters that cannot be used, or a batch without a valid event; every problem is named",
    401: "No API key, or one that is malformed, unknown, revoked or expired",
    403: "The role of the API key does not suffice",
    404: "No such listing",
    413: "More than 500 events, or more than 256 KiB",
    415: "Something other than JSON",
    429: "More requests than one key or address may send",
    500: "A fault of the server's; its log says more",
    503: "Elasticsearch or Redis is unavailable, or events are not configured",
}

_KEY = "apiKey"
_SCHEME = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "nitamono_<id>_<secret>",
    "description": "An API key that `nitamono keys create` printed. The role operate includes ingest, and "
    "ingest includes read. A server that allows public reads needs none for them; one that listens on "
    "loopback and has no keys needs none at all.",
}

_REFUSALS = (401, 403, 429)
"""The errors of every operation that needs a role."""

_RETRY_AFTER = {
    "Retry-After": {"description": "Seconds to wait before asking again.", "schema": {"type": "integer"}}
}


def openapi_document() -> dict[str, Any]:
    """The whole description, as JSON values."""
    answers = {operation.answer for operation in OPERATIONS} | {ProblemDetails}
    bodies = {operation.body for operation in OPERATIONS if operation.body}
    models = sorted(answers | bodies, key=lambda model: model.__name__)
    _, schemas = models_json_schema(
        [(model, "validation" if model in bodies else "serialization") for model in models],
        ref_template=_REFERENCE,
    )
    for event in EVENT_TYPES.values():
        _let_time_be_absent(schemas["$defs"][event.__name__])
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "nitamono",
            "version": version("nitamono"),
            "description": "Visually similar items for a marketplace, on Elasticsearch.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {
            operation.path: {operation.method.lower(): _operation(operation)} for operation in OPERATIONS
        },
        "components": {"schemas": schemas["$defs"], "securitySchemes": {_KEY: _SCHEME}},
    }


def _let_time_be_absent(schema: dict[str, Any]) -> None:
    """Make the time of an event optional: the route fills it in before the event is validated."""
    schema["required"].remove("time")
    schema["properties"]["time"]["description"] += " Where it is absent: the time of arrival."


def _operation(operation: Operation) -> dict[str, Any]:
    refusals = _REFUSALS if operation.role else ()
    errors = {str(status): _error(status) for status in sorted({*operation.errors, *refusals, 500})}
    return {
        "operationId": operation.operation_id,
        "summary": operation.summary,
        "tags": [operation.tag],
        "security": _security(operation.role),
        "parameters": [
            *_path_parameters(operation),
            *_parameters(operation.query, "query"),
            *_parameters(operation.headers, "header"),
        ],
        **({"requestBody": _body(operation.body)} if operation.body else {}),
        "responses": {
            str(operation.status): _answer(operation),
            **errors,
        },
    }


def _security(role: Role | None) -> list[dict[str, list[str]]]:
    """What has to be sent: a key of the role, or nothing (`{}`)."""
    needed: list[dict[str, list[str]]] = [{_KEY: [role.label]}] if role else []
    return [*needed, {}] if role is None or role is Role.READ else needed


def _answer(operation: Operation) -> dict[str, Any]:
    answer = _response("The answer", operation.answer, "application/json")
    if operation.answer_without_key:
        media = answer["content"]["application/json"]
        without_key = {"$ref": _REFERENCE.format(model=operation.answer_without_key.__name__)}
        media["schema"] = {"anyOf": [media["schema"], without_key]}
    return answer


def _body(model: type[BaseModel]) -> dict[str, Any]:
    return {"required": True, **_response("JSON", model, "application/json")}


def _path_parameters(operation: Operation) -> list[dict[str, Any]]:
    return _parameters(ItemPath, "path") if "{item_id}" in operation.path else []


def _parameters(model: type[Parameters] | None, place: str) -> list[dict[str, Any]]:
    if model is None:
        return []
    schema = model.model_json_schema(ref_template=_REFERENCE)
    required = schema.get("required", [])
    return [
        _parameter(name, _resolved(part, schema.get("$defs", {})), place, required=name in required)
        for name, part in schema["properties"].items()
    ]


def _parameter(name: str, schema: dict[str, Any], place: str, *, required: bool) -> dict[str, Any]:
    description = schema.pop("description")
    schema.pop("title", None)
    return {
        "name": name,
        "in": place,
        "required": required,
        "description": description,
        "schema": schema,
    }


def _resolved(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """The schema of a parameter without references: enums written out, null defaults left out.

    A query string has no null: a field that may be None in the model is optional here.
    """
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        rest = {key: value for key, value in schema.items() if key != "$ref"}
        return {**definitions[name], **rest}
    choices = [choice for choice in schema.get("anyOf", []) if choice.get("type") != "null"]
    if len(choices) == 1:
        rest = {key: value for key, value in schema.items() if key not in {"anyOf", "default"}}
        return {**choices[0], **rest}
    return dict(schema)


def _response(description: str, model: type[BaseModel], media_type: str) -> dict[str, Any]:
    schema = {"$ref": _REFERENCE.format(model=model.__name__)}
    return {"description": description, "content": {media_type: {"schema": schema}}}


def _error(status: int) -> dict[str, Any]:
    response = _response(_ERRORS[status], ProblemDetails, "application/problem+json")
    return response | ({"headers": _RETRY_AFTER} if status in {429, 503} else {})
