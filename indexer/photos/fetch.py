"""Photo references to bytes, from allowed folders and public servers."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path
from urllib.parse import SplitResult, quote, quote_from_bytes, urljoin, urlsplit
from weakref import WeakValueDictionary

import httpcore

from indexer.errors import PhotoGone, PhotoRefused, PhotoUnavailable, PhotoUnusable
from indexer.photos.network import Deadline, PublicBackend
from indexer.settings import FetchSettings
from mappings.errors import UnsafePhotoPath
from mappings.image_roots import ImageRoots, is_remote

REDIRECTS = frozenset({301, 302, 303, 307, 308})
GONE = frozenset({404, 410})
# The server says itself that a later request may succeed: timeout, too early, too many requests.
PASSING = frozenset({408, 425, 429})
OK = 200
# What RFC 3986 lets stand in a path; `%` stays, since references come percent-encoded already.
URL_SAFE = "/%:@!$&'()*+,;=~-._"
PRINTABLE_ASCII = "".join(map(chr, range(0x21, 0x7F)))

HEADERS = (
    (b"User-Agent", b"nitamono-indexer"),
    (b"Accept", b"image/*"),
    # Bytes as they are: a small compressed answer must not unfold into a large one here.
    (b"Accept-Encoding", b"identity"),
)


class PhotoFetcher:
    """Fetches photos, from many threads at once."""

    def __init__(self, settings: FetchSettings, roots: ImageRoots) -> None:
        self._settings = settings
        self._roots = roots
        self._deadline = Deadline()
        self._turns = HostTurns(settings.per_host)
        self._pool = httpcore.ConnectionPool(
            max_connections=settings.threads,
            keepalive_expiry=15,  # servers commonly close idle connections after 15 to 75 seconds
            network_backend=PublicBackend(settings, self._deadline),
        )

    def fetch(self, reference: str) -> bytes:
        """The bytes of the photo: an http(s) URL, or a path below an allowed folder.

        Raises:
            PermanentFailure: gone, refused, too large, too slow.
            PhotoUnavailable: the server or the disk has a trouble that may pass.
        """
        if not is_remote(reference):
            return self._read_file(reference)
        # The wait for a turn is ours, not the server's: it does not count against the photo's time.
        with self._turns.of(checked_url(reference)), self._deadline.within(self._settings.deadline_s):
            return self._download(reference)

    def close(self) -> None:
        """Closes the connections that are kept open."""
        self._pool.close()

    def _read_file(self, reference: str) -> bytes:
        try:
            path = self._roots.resolve(reference)
        except UnsafePhotoPath as error:
            failure = PhotoGone if error.reason == "photo_not_found" else PhotoRefused
            raise failure(error.reason, str(error)) from error
        return read_limited(path, self._settings.max_bytes)

    def _download(self, reference: str) -> bytes:
        url = reference
        for _ in range(self._settings.max_redirects + 1):
            answer = self._request(checked_url(url))
            if isinstance(answer, bytes):
                return answer
            url = redirected(url, answer)
        raise PhotoUnusable(
            "photo_too_many_redirects",
            f"{reference[:200]} redirects more than {self._settings.max_redirects} times",
        )

    def _request(self, parts: SplitResult) -> bytes | str:
        """The photo, or where the server says it is."""
        try:
            return self._exchange(parts)
        except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
            # Raises photo_timeout where the photo's own time ran out rather than the server's patience.
            self._deadline.clip(None)
            raise PhotoUnavailable(
                "photo_unavailable", f"{parts.hostname}: {type(error).__name__}: {error}"
            ) from error

    def _exchange(self, parts: SplitResult) -> bytes | str:
        idle = self._settings.idle_s
        timeouts = {"connect": idle, "read": idle, "write": idle, "pool": self._settings.deadline_s}
        with self._pool.stream(
            "GET", request_url(parts), headers=HEADERS, extensions={"timeout": timeouts}
        ) as response:
            location = header(response, b"location")
            if response.status in REDIRECTS and location:
                return location_text(location)
            check_status(response.status, parts.geturl())
            return read_body(response, self._settings.max_bytes)


class HostTurns:
    """Limits how many photos are fetched from one server at once. Servers nobody waits for are forgotten."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._semaphores: WeakValueDictionary[str, threading.Semaphore] = WeakValueDictionary()

    def of(self, parts: SplitResult) -> threading.Semaphore:
        """The turn at the server of a URL, to be held while fetching."""
        with self._lock:
            turn = self._semaphores.get(parts.netloc)
            if turn is None:
                turn = self._semaphores[parts.netloc] = threading.Semaphore(self._limit)
            return turn


def checked_url(url: str) -> SplitResult:
    """The parts of an http(s) URL.

    Raises:
        PhotoRefused: another scheme, no host, a user name in it, or a port that is no number.
    """
    try:
        parts = urlsplit(url.strip())
        usable = bool(parts.hostname) and parts.username is None and parts.port != 0
    except ValueError as error:
        raise PhotoRefused("photo_url_malformed", f"{url[:200]!r}: {error}") from error
    if parts.scheme not in {"http", "https"}:
        raise PhotoRefused("photo_scheme_not_allowed", f"{url[:200]!r}; expected http or https")
    if not usable:
        raise PhotoRefused(
            "photo_url_malformed", f"{url[:200]!r}; expected a host, no user name and a port above 0"
        )
    return parts


def request_url(parts: SplitResult) -> httpcore.URL:
    """The URL as it goes over the wire: the host in its ASCII form, the rest percent-encoded.

    Raises:
        PhotoRefused: the host has no ASCII form, or the path holds half a surrogate pair.
    """
    try:
        host = (parts.hostname or "").encode("idna")
        target = quote(parts.path or "/", safe=URL_SAFE)
        if parts.query:
            target += "?" + quote(parts.query, safe=URL_SAFE + "?")
    except UnicodeError as error:
        raise PhotoRefused("photo_url_malformed", f"{parts.geturl()[:200]!r}: {error}") from error
    return httpcore.URL(scheme=parts.scheme.encode(), host=host, port=parts.port, target=target.encode())


def location_text(value: bytes) -> str:
    """The URL of a `Location` header. Servers should percent-encode it; many send UTF-8 as it is, as browsers
    accept. Bytes of another encoding are percent-encoded one by one, so that the server gets its own back."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return quote_from_bytes(value, safe=PRINTABLE_ASCII)


def redirected(url: str, location: str) -> str:
    """Where a redirect from `url` leads.

    Raises:
        PhotoRefused: from https to http, where anybody on the way could put another picture; no URL at all.
    """
    try:
        target = urljoin(url, location)
    except ValueError as error:
        raise PhotoRefused("photo_url_malformed", f"redirect to {location[:200]!r}: {error}") from error
    if checked_url(url).scheme == "https" and checked_url(target).scheme != "https":
        raise PhotoRefused(
            "photo_insecure_redirect", f"{url[:200]} redirects to {target[:200]}; expected https"
        )
    return target


def check_status(status: int, url: str) -> None:
    """Nothing, if the status is 200.

    Raises:
        PhotoGone: 404 or 410.
        PhotoUnavailable: the server says that it may answer later.
        PhotoRefused: any other one.
    """
    if status == OK:
        return
    found = f"{url[:200]} answers {status}"
    if status in GONE:
        raise PhotoGone("photo_gone", found)
    if status in PASSING or status >= 500:
        raise PhotoUnavailable("photo_unavailable", found)
    raise PhotoRefused("photo_refused_by_server", f"{found}; expected 200")


def read_body(response: httpcore.Response, max_bytes: int) -> bytes:
    """The body.

    Raises:
        PhotoUnusable: more bytes than `max_bytes`, announced or sent.
    """
    announced = header(response, b"content-length") or b""
    if announced.isdigit() and int(announced) > max_bytes:
        raise too_large(f"{int(announced):,} bytes announced", max_bytes)
    body = bytearray()
    for part in response.iter_stream():
        body += part
        if len(body) > max_bytes:
            raise too_large(f"{len(body):,} bytes and no end", max_bytes)
    return bytes(body)


def header(response: httpcore.Response, name: bytes) -> bytes | None:
    """The value of the first header of that lower-case name."""
    return next((value for key, value in response.headers if key.lower() == name), None)


def read_limited(path: Path, max_bytes: int) -> bytes:
    """The content of a regular file.

    Raises:
        PhotoGone: it vanished.
        PhotoRefused: no regular file, or this process may not read it.
        PhotoUnusable: more than `max_bytes`.
        PhotoUnavailable: the disk fails.
    """
    try:
        # The path is resolved: a link there now was put there since. A pipe must not block the open.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            check_regular(os.fstat(descriptor), path)
            data = file.read(max_bytes + 1)
    except FileNotFoundError as error:
        raise PhotoGone("photo_not_found", f"{path}: it vanished") from error
    except PermissionError as error:
        raise PhotoRefused("photo_unreadable", f"{path}: no permission to read") from error
    except OSError as error:
        raise PhotoUnavailable("photo_unavailable", f"{path}: {error}") from error
    if len(data) > max_bytes:
        raise too_large(f"{path} is longer", max_bytes)
    return data


def check_regular(status: os.stat_result, path: Path) -> None:
    """Nothing, if the status is a regular file's.

    Raises:
        PhotoRefused: a device, a pipe, a folder.
    """
    if not stat.S_ISREG(status.st_mode):
        raise PhotoRefused("photo_not_a_file", f"{path}; expected a regular file")


def too_large(found: str, max_bytes: int) -> PhotoUnusable:
    """The refusal of a photo with too many bytes."""
    return PhotoUnusable("photo_too_large", f"{found}; expected at most {max_bytes:,} bytes")
