"""What a command prints for each error that a user can correct."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from settings.errors import ELASTICSEARCH, RAISE_TIMEOUT, REDIS, UserError, how_to_start
from settings.services_file import without_passwords

INSTALLED_BY: Final = {
    **dict.fromkeys(
        ("torch", "onnx", "onnxscript", "safetensors", "transformers", "sklearn", "matplotlib", "nncf"),
        "run `make train`",
    ),
    **dict.fromkeys(("duckdb", "scipy", "jinja2"), "install requirements/analysis.txt"),
    **dict.fromkeys(
        ("onnxruntime", "openvino", "tokenizers", "sqlalchemy", "psycopg", "s3fs", "gcsfs", "aiohttp"),
        "install requirements/worker.txt",
    ),
    **dict.fromkeys(("pyarrow", "tqdm"), "install requirements/worker.txt or requirements/analysis.txt"),
    **dict.fromkeys(
        ("cachetools", "flask", "flask_compress", "flask_cors", "flask_openapi3", "gunicorn", "limits"),
        "install requirements/api.txt",
    ),
}
"""Libraries that not every installation has, and what installs them."""


def reported_errors() -> tuple[type[Exception], ...]:
    """Return the errors that end in one sentence: ours, and those of Elasticsearch's and Redis's clients."""
    return UserError, *_service_errors()


def sentence(error: Exception, environ: Mapping[str, str]) -> str:
    """Return what to print for one of these errors, with the next step."""
    if not isinstance(error, UserError):
        return _service_sentence(error, environ)
    cause = error.__cause__
    if error.service and isinstance(cause, _unanswered()):
        return _service_sentence(cause, environ)
    return str(error)


def missing_library(error: ModuleNotFoundError) -> str:
    """Return what to print for a library that is not installed.

    Raises:
        ModuleNotFoundError: it is none of INSTALLED_BY.
    """
    remedy = INSTALLED_BY.get((error.name or "").partition(".")[0])
    if remedy is None:
        raise error
    return f"{error.name} is not installed, and this command needs it: {remedy}"


def _service_errors() -> tuple[type[Exception], ...]:
    # Imported after an error, so that `--help` starts without them.
    from elasticsearch import ApiError, TransportError  # noqa: PLC0415
    from kombu.exceptions import OperationalError  # noqa: PLC0415
    from redis import RedisError  # noqa: PLC0415

    return ApiError, TransportError, RedisError, OperationalError


def _unanswered() -> tuple[type[Exception], ...]:
    """Return the errors of clients without an answer of their service."""
    _, *others = _service_errors()
    return tuple(others)


def _service_sentence(error: Exception, environ: Mapping[str, str]) -> str:
    """Return the sentence for an error of a client, with the URL of its server."""
    from elasticsearch import ApiError, ConnectionTimeout, TransportError  # noqa: PLC0415
    from redis import AuthenticationError, ResponseError  # noqa: PLC0415

    if isinstance(error, ApiError):
        return f"Elasticsearch rejected the request: {error}"
    if isinstance(error, ResponseError | AuthenticationError):
        return f"Redis rejected the request: {error}"
    is_elasticsearch = isinstance(error, TransportError)
    service, variable = ("Elasticsearch", ELASTICSEARCH) if is_elasticsearch else ("Redis", REDIS)
    server = f" at {without_passwords(environ[variable])}" if environ.get(variable) else ""
    found = getattr(error, "message", error)
    if isinstance(error, ConnectionTimeout):
        return f"{service}{server} did not answer in time ({found}); {RAISE_TIMEOUT}"
    return f"{service} does not answer{server} ({found}); {how_to_start(variable)}"
