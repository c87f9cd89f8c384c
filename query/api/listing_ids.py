"""Listing ids in URLs: any text, percent-encoded, `/` included."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote_to_bytes, urlsplit

from werkzeug.routing import BaseConverter

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_SLASH: Final = "\x1f"
"""Stands for an encoded `/` while a path is matched. No id has a control character."""


class ListingIdConverter(BaseConverter):
    """The part of a path that is a listing's id."""

    def to_python(self, value: str) -> str:
        """The id itself."""
        return value.replace(_SLASH, "/")

    def to_url(self, value: Any) -> str:
        """The id, percent-encoded."""
        return quote(str(value), safe="")


class EncodedSlashes:
    """WSGI middleware by which `A%2F12` stays one part of a path.

    WSGI hands over a path that is decoded already. gunicorn and werkzeug add the raw one; where a server does
    not, ids with a slash are not found, and all others are.
    """

    def __init__(self, app: Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]) -> None:
        self._app = app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        path = urlsplit(environ.get("RAW_URI", "")).path
        if "%2f" in path.lower() and not environ.get("SCRIPT_NAME"):
            environ["PATH_INFO"] = "/".join(map(_decoded, path.split("/")))
        return self._app(environ, start_response)


def shown_path(path: str) -> str:
    """A request's path for a person or a log."""
    return path.replace(_SLASH, "%2F")


def _decoded(part: str) -> str:
    """A part of a raw path as WSGI has it: bytes read as Latin-1."""
    return unquote_to_bytes(part).decode("latin-1").replace("/", _SLASH)
