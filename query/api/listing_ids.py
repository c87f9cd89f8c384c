"""Listing ids in URLs: any text, percent-encoded, `/` included."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote_to_bytes

from werkzeug.routing import BaseConverter

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_SLASH: Final = "\x1f"
"""Stands for an encoded `/` while a path is matched. No id has a control character."""

_SENT: Final = "\x1e"
"""Stands for a `%1F` that was sent, which must not become a `/`. An id with it is refused like any other
with a control character."""


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
    not, ids with a slash are not found, and all others are. The same holds for a proxy in front: it must pass
    the path as it was sent. nginx does with `proxy_pass http://api;`, but decodes it where the address has a
    path of its own, even `/`.
    """

    def __init__(self, app: Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]) -> None:
        self._app = app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request. The server's own environ is left as it is, for its access log."""
        given = environ.get("PATH_INFO", "")
        marked = _marked(given, _raw_path(environ.get("RAW_URI", "")), environ.get("SCRIPT_NAME", ""))
        return self._app(environ if marked == given else environ | {"PATH_INFO": marked}, start_response)


def shown_path(path: str) -> str:
    """A request's path for a person or a log."""
    return path.replace(_SLASH, "%2F").replace(_SENT, "%1F")


def _raw_path(uri: str) -> str:
    """The path of the target of a request, which is any text: a path, or a whole URL sent to a proxy."""
    path = uri.partition("#")[0].partition("?")[0]
    if path.startswith("/"):
        return path
    return "/" + path.partition("://")[2].partition("/")[2]


def _marked(given: str, raw: str, script_name: str) -> str:
    """A decoded path with marks for what was encoded, as far as the raw path is the same one.

    raw: with the prefix that the app is served below, or without, where a proxy has taken it off.
    """
    if "%2f" in raw.lower():
        parts = raw.split("/")[1:]
        for own in (parts[script_name.count("/") :], parts):
            if "/" + "/".join(map(_decoded, own)) == given:
                return "/" + "/".join(
                    _decoded(part).replace(_SLASH, _SENT).replace("/", _SLASH) for part in own
                )
    return given.replace(_SLASH, _SENT)


def _decoded(part: str) -> str:
    """A part of a raw path as WSGI has it: bytes read as Latin-1."""
    return unquote_to_bytes(part).decode("latin-1")
