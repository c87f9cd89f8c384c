"""Access to files in S3, Google Cloud Storage and on web servers, through fsspec.

Credentials and endpoints are those of each library: AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL,
GOOGLE_APPLICATION_CREDENTIALS and the like.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

_LIBRARIES: Final = {"s3": "s3fs", "gs": "gcsfs", "https": "aiohttp", "http": "aiohttp"}
"""Scheme to the library that fsspec needs for it."""
_ERRORS: Final = {
    "s3": ("botocore.exceptions.BotoCoreError", "botocore.exceptions.ClientError"),
    "gs": ("gcsfs.retry.HttpError", "google.auth.exceptions.GoogleAuthError"),
}
"""Scheme to the errors of its library that are no OSError; those of aiohttp may come with each."""

SCHEMES: Final = tuple(_LIBRARIES)


def file_system(scheme: str, **options: Any) -> Any:
    """Return fsspec's file system of a scheme.

    Raises:
        ModuleNotFoundError: its library is not installed.
    """
    import_module(_LIBRARIES[scheme])
    from fsspec import filesystem  # noqa: PLC0415  not every installation has it

    return filesystem(scheme, **options)


def client_errors(scheme: str) -> tuple[type[Exception], ...]:
    """Return what the file system of a scheme raises if the other side fails. Timeouts are OSErrors."""
    names = ("aiohttp.ClientError", *_ERRORS.get(scheme, ()))
    modules = (name.rpartition(".") for name in names)
    return (OSError, *(getattr(import_module(module), name) for module, _, name in modules))


def without_secrets(url: str) -> str:
    """Return the URL without user, password and query, which may be a signature."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
