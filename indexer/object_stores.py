"""Access to files in S3, Google Cloud Storage and on web servers, through fsspec.

Credentials and endpoints are those of each library: AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL,
GOOGLE_APPLICATION_CREDENTIALS and the like.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

SCHEMES: Final = ("s3", "gs", "https", "http")


def file_system(scheme: str, **options: Any) -> Any:
    """Return fsspec's file system of a scheme.

    Raises:
        ModuleNotFoundError: its library is not installed.
    """
    client_errors(scheme)
    from fsspec import filesystem  # noqa: PLC0415  as below

    return filesystem(scheme, **options)


def client_errors(scheme: str) -> tuple[type[Exception], ...]:
    """Return what the file system of a scheme raises if the other side fails. Timeouts are OSErrors.

    Raises:
        ModuleNotFoundError: its library is not installed.
    """
    # Imported here, since not every installation has them.
    from aiohttp import ClientError as HttpClientError  # noqa: PLC0415

    if scheme == "s3":
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        return OSError, HttpClientError, BotoCoreError, ClientError
    if scheme == "gs":
        from gcsfs.retry import HttpError  # noqa: PLC0415
        from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415

        return OSError, HttpClientError, HttpError, GoogleAuthError
    return OSError, HttpClientError


def without_secrets(url: str) -> str:
    """Return the URL without user, password and query, which may be a signature."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
