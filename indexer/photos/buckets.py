"""Photos in S3 and Google Cloud Storage, below the prefixes that an operator allows.

Sellers write the references of photos, and a worker has credentials, so it reads what is allowed and nothing
else. Photos at http(s) URLs have a network layer of their own (`network.py`) and never come through here.
"""

from __future__ import annotations

import errno
from functools import cache
from typing import Any

from indexer.errors import PhotoGone, PhotoRefused, PhotoUnavailable, PhotoUnusable
from indexer.object_stores import client_errors, file_system
from indexer.settings import FetchSettings
from settings.errors import InvalidSetting

NOT_SATISFIABLE = "not satisfiable"
"""What Google Cloud Storage says of the first bytes of an object without any; S3 is understood by errno."""

UNAUTHORIZED = 401
NO_CREDENTIALS = frozenset({"NoCredentialsError", "PartialCredentialsError", "DefaultCredentialsError"})
"""Errors of botocore and of google-auth."""


class BucketReader:
    """Reads photos of buckets. Used by many threads at once, in the process that made it."""

    def __init__(self, settings: FetchSettings) -> None:
        """Connect to nothing yet.

        Raises:
            InvalidSetting: buckets are allowed, but the library for them is not installed.
        """
        self._settings = settings
        self._file_system = cache(self._opened)
        for scheme in sorted({prefix.partition("://")[0] for prefix in settings.buckets}):
            try:
                client_errors(scheme)
            except ModuleNotFoundError as error:
                raise InvalidSetting(
                    f"NITAMONO_PHOTO_BUCKETS has {scheme}://, but {error.name} is not installed: "
                    "install requirements/worker.txt, or the extra `cloud`"
                ) from error

    def read(self, reference: str) -> bytes:
        """Return the bytes of a photo.

        Raises:
            PhotoRefused: it is outside the allowed prefixes, or the credentials do not allow it.
            PhotoGone: it does not exist.
            PhotoUnusable: it is too large.
            PhotoUnavailable: the service fails, throttles or takes too long.
        """
        data = self._first_bytes(self._allowed(reference))
        if len(data) > self._settings.max_bytes:
            limit = f"expected at most {self._settings.max_bytes:,} bytes"
            raise PhotoUnusable("photo_too_large", f"{reference[:200]} is larger; {limit}")
        return data

    def _allowed(self, reference: str) -> str:
        """Return the reference with its scheme in lower case, if it is below an allowed prefix."""
        scheme, _, key = reference.partition("://")
        normal = f"{scheme.lower()}://{key}"
        if ".." in key.split("/") or not normal.startswith(self._settings.buckets):
            allowed = ", ".join(self._settings.buckets) or "no bucket is allowed; set NITAMONO_PHOTO_BUCKETS"
            raise PhotoRefused(
                "photo_bucket_not_allowed", f"{reference[:200]!r}; expected a photo below {allowed}"
            )
        return normal

    def _first_bytes(self, reference: str) -> bytes:
        """Return at most one byte more than a photo may have."""
        from fsspec.asyn import sync  # noqa: PLC0415  not every installation has it

        scheme = reference.partition("://")[0]
        end = self._settings.max_bytes + 1
        files = self._file_system(scheme)
        try:
            return bytes(
                sync(
                    files.loop,
                    files._cat_file,
                    reference,
                    start=0,
                    end=end,
                    timeout=self._settings.deadline_s,
                )
            )
        except FileNotFoundError as error:
            raise PhotoGone("photo_gone", f"{reference[:200]} does not exist") from error
        except client_errors(scheme) as error:
            if is_empty(error):
                return b""
            if is_denied(error):
                raise PhotoRefused("photo_bucket_denied", f"{reference[:200]}: access denied") from error
            detail = f"{reference[:200]}: {type(error).__name__}: {error}"
            raise PhotoUnavailable("photo_unavailable", detail[:500]) from error

    def _opened(self, scheme: str) -> Any:
        # An instance of its own, since fsspec's cached ones do not survive a fork.
        return file_system(scheme, skip_instance_cache=True, **self._options(scheme))

    def _options(self, scheme: str) -> dict[str, Any]:
        if scheme != "s3":
            return {}
        idle = self._settings.idle_s
        config = {
            "connect_timeout": idle,
            "read_timeout": idle,
            "max_pool_connections": self._settings.threads,
            # s3fs retries by itself.
            "retries": {"max_attempts": 1},
        }
        return {"config_kwargs": config}


def is_empty(error: Exception) -> bool:
    """Return whether an object has no first byte, by the error of a request for its first bytes."""
    return getattr(error, "errno", None) == errno.EINVAL or NOT_SATISFIABLE in str(error)


def is_denied(error: Exception) -> bool:
    """Return whether the credentials are missing or do not allow the request."""
    if isinstance(error, PermissionError) or type(error).__name__ in NO_CREDENTIALS:
        return True
    return getattr(error, "code", None) == UNAUTHORIZED or "Forbidden" in str(error)  # by gcsfs
