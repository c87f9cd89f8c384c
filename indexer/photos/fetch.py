"""Fetching of photos as bytes, from allowed folders and public hosts."""

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
# A later request may succeed: timeout, too early, too many requests.
RETRYABLE = frozenset({408, 425, 429})
OK = 200
# What RFC 3986 allows in a path. `%` is kept, since references are percent-encoded already.
URL_SAFE = "/%:@!$&'()*+,;=~-._"
PRINTABLE_ASCII = "".join(map(chr, range(0x21, 0x7F)))

HEADERS = (
    (b"User-Agent", b"nitamono-indexer"),
    (b"Accept", b"image/*"),
    # No compression: a small response must not expand into a large one.
    (b"Accept-Encoding", b"identity"),
)


class PhotoFetcher:
    """Fetches photos. Used by many threads at once."""

    def __init__(self, settings: FetchSettings, roots: ImageRoots) -> None:
        self._settings = settings
        self._roots = roots
        self._deadline = Deadline()
        self._host_limit = HostLimit(settings.per_host)
        self._pool = httpcore.ConnectionPool(
            max_connections=settings.threads,
            keepalive_expiry=15,  # servers commonly close idle connections after 15 to 75 seconds
            network_backend=PublicBackend(settings, self._deadline),
        )

    def fetch(self, reference: str) -> bytes:
        """Return the bytes of the photo at an http(s) URL, or at a path below an allowed folder.

        Raises:
            PermanentFailure: it does not exist, must not be fetched, is too large or takes too long.
            PhotoUnavailable: the host or the disk fails; a retry may succeed.
        """
        if not is_remote(reference):
            return self._read_file(reference)
        # The wait for the limit of a host does not count as time of the photo.
        with self._host_limit.of(checked_url(reference)), self._deadline.within(self._settings.deadline_s):
            return self._download(reference)

    def close(self) -> None:
        """Close the connections that are kept open."""
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
            found = self._request(checked_url(url))
            if isinstance(found, bytes):
                return found
            url = redirect_target(url, found)
        raise PhotoUnusable(
            "photo_too_many_redirects",
            f"{reference[:200]} redirects more than {self._settings.max_redirects} times",
        )

    def _request(self, parts: SplitResult) -> bytes | str:
        """Return the photo, or the location that the host redirects to."""
        try:
            return self._exchange(parts)
        except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
            # Raises photo_timeout if the photo's deadline has passed, which is permanent.
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


class HostLimit:
    """Limits how many photos are fetched from one host at once. A host that is not in use takes no memory."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._semaphores: WeakValueDictionary[str, threading.Semaphore] = WeakValueDictionary()

    def of(self, parts: SplitResult) -> threading.Semaphore:
        """Return the semaphore of a URL's host, to be held during the fetch."""
        with self._lock:
            semaphore = self._semaphores.get(parts.netloc)
            if semaphore is None:
                semaphore = self._semaphores[parts.netloc] = threading.Semaphore(self._limit)
            return semaphore


def checked_url(url: str) -> SplitResult:
    """Return the parts of an http(s) URL.

    Raises:
        PhotoRefused: it has another scheme, no host, a user name, or an invalid port.
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
    """Return the URL as it is sent: the host in its ASCII form (IDNA), the rest percent-encoded.

    Raises:
        PhotoRefused: the host has no ASCII form, or the path has half a surrogate pair.
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
    """Return the URL of a `Location` header. It should be percent-encoded; many hosts send UTF-8, which
    browsers accept. Bytes in another encoding are percent-encoded one by one, so that the host gets the same.
    """
    try:
        return value.decode()
    except UnicodeDecodeError:
        return quote_from_bytes(value, safe=PRINTABLE_ASCII)


def redirect_target(url: str, location: str) -> str:
    """Return the URL that a redirect from `url` leads to.

    Raises:
        PhotoRefused: it leads from https to http, where the photo could be replaced; or it is not a URL.
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
    """Check that the status is 200.

    Raises:
        PhotoGone: it is 404 or 410.
        PhotoUnavailable: a later request may succeed.
        PhotoRefused: it is another one.
    """
    if status == OK:
        return
    found = f"{url[:200]} responds with status {status}"
    if status in GONE:
        raise PhotoGone("photo_gone", found)
    if status in RETRYABLE or status >= 500:
        raise PhotoUnavailable("photo_unavailable", found)
    raise PhotoRefused("photo_refused_by_server", f"{found}; expected 200")


def read_body(response: httpcore.Response, max_bytes: int) -> bytes:
    """Return the body.

    Raises:
        PhotoUnusable: the host announces or sends more than `max_bytes`.
    """
    announced = header(response, b"content-length") or b""
    if announced.isdigit() and int(announced) > max_bytes:
        raise too_large(f"{int(announced):,} bytes announced", max_bytes)
    body = bytearray()
    for part in response.iter_stream():
        body += part
        if len(body) > max_bytes:
            raise too_large(f"over {max_bytes:,} bytes sent", max_bytes)
    return bytes(body)


def header(response: httpcore.Response, name: bytes) -> bytes | None:
    """Return the value of the first header with that lower-case name."""
    return next((value for key, value in response.headers if key.lower() == name), None)


def read_limited(path: Path, max_bytes: int) -> bytes:
    """Return the content of a regular file.

    Raises:
        PhotoGone: it was deleted meanwhile.
        PhotoRefused: it is not a regular file, or this process may not read it.
        PhotoUnusable: it has more than `max_bytes`.
        PhotoUnavailable: the disk fails.
    """
    try:
        # The path is resolved, so a link is new and not followed. Opening a pipe must not block.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            check_regular(os.fstat(descriptor), path)
            data = file.read(max_bytes + 1)
    except FileNotFoundError as error:
        raise PhotoGone("photo_not_found", f"{path} was deleted meanwhile") from error
    except PermissionError as error:
        raise PhotoRefused("photo_unreadable", f"{path}: no permission to read") from error
    except OSError as error:
        raise PhotoUnavailable("photo_unavailable", f"{path}: {error}") from error
    if len(data) > max_bytes:
        raise too_large(f"{path} is larger", max_bytes)
    return data


def check_regular(status: os.stat_result, path: Path) -> None:
    """Check that the file is a regular one.

    Raises:
        PhotoRefused: it is a device, a pipe or a folder.
    """
    if not stat.S_ISREG(status.st_mode):
        raise PhotoRefused("photo_not_a_file", f"{path} is not a regular file")


def too_large(found: str, max_bytes: int) -> PhotoUnusable:
    """Return the error for a photo with too many bytes."""
    return PhotoUnusable("photo_too_large", f"{found}; expected at most {max_bytes:,} bytes")
