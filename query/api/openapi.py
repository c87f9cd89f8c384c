"""The OpenAPI 3.1 description of the API, generated from the models that validate and answer."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from events.schema import EVENT_TYPES
from query.access.roles import Role
from query.api.ingest.models import JobPath
from query.api.operations import OPERATIONS, Operation
from query.api.parameters import ItemPath, Parameters
from query.api.responses import ProblemDetails

_REFERENCE = "#/components/schemas/{model}"


_ERRORS = {
    400: "Parameters that cannot be used, or a body without a valid event or listing; every problem is named",
    401: "No API key, or one that is malformed, unknown, revoked or expired",
    403: "The role of the API key does not suffice",
    404: "No such listing or job",
    413: "More than 500 events or 1,000 listings, or more than 256 KiB, for a batch of listings 8 MiB",
    415: "A compressed body, or something other than JSON; NDJSON is for batches",
    422: "The idempotency key was used for another request",
    429: "More requests than one key or address may send, or a full queue",
    500: "A fault of the server's; its log says more",
    503: "Elasticsearch or Redis is unavailable, or events are not configured",
}

_NOT_MODIFIED = "The client has the answer already: its `If-None-Match` has the ETag"

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
    answers |= {operation.waited for operation in OPERATIONS if operation.waited}
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
        "paths": _paths(),
        "components": {"schemas": schemas["$defs"], "securitySchemes": {_KEY: _SCHEME}},
    }


def _paths() -> dict[str, dict[str, Any]]:
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return paths


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
        **({"requestBody": _body(operation)} if operation.body else {}),
        "responses": {
            **_waited(operation),
            str(operation.status): _answer(operation),
            **({"304": {"description": _NOT_MODIFIED}} if operation.revalidates else {}),
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


def _waited(operation: Operation) -> dict[str, Any]:
    """The answer to a request that waits, if there is another."""
    if operation.waited is None:
        return {}
    return {"200": _response("The outcome, with `wait`", operation.waited, "application/json")}


def _body(operation: Operation) -> dict[str, Any]:
    schema = {"$ref": _REFERENCE.format(model=operation.body.__name__)} if operation.body else {}
    line = {"type": "string", "description": "A line of JSON for each item."}
    content = {
        media_type: {"schema": schema if media_type == "application/json" else line}
        for media_type in operation.body_types
    }
    return {"required": True, "description": "JSON", "content": content}


def _path_parameters(operation: Operation) -> list[dict[str, Any]]:
    models: dict[str, type[Parameters]] = {"{item_id}": ItemPath, "{job_id}": JobPath}
    return [
        parameter
        for part, model in models.items()
        if part in operation.path
        for parameter in _parameters(model, "path")
    ]


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
