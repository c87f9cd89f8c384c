"""Fetching of photos as bytes, from allowed folders and public hosts."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult

import httpcore

from indexer.errors import PhotoGone, PhotoRefused, PhotoUnavailable, PhotoUnusable
from indexer.photos.buckets import BucketReader
from indexer.photos.cache import KeptPhoto, PhotoCache, Validators
from indexer.photos.hosts import Admission, Breakers, HostLimit, Outcome
from indexer.photos.network import TIMED_OUT, Deadline, PublicBackend
from indexer.photos.urls import checked_url, location_text, redirect_target, request_url
from indexer.settings import FetchSettings
from mappings.errors import UnsafePhotoPath
from mappings.failures import Failure
from mappings.image_roots import ImageRoots, is_in_bucket, is_remote

REDIRECTS = frozenset({301, 302, 303, 307, 308})
GONE = frozenset({404, 410})
# A later request may succeed: timeout, too early, too many requests.
RETRYABLE = frozenset({408, 425, 429})
OK = 200
NOT_MODIFIED = 304
UNANSWERED = (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError)
# nginx closes idle connections after 75 s, load balancers after 60 s. Others do so earlier, at no cost.
KEEPALIVE_S = 55
# Failing hosts that are tried at once.
PROBES = 4

HEADERS = (
    (b"User-Agent", b"nitamono-indexer"),
    (b"Accept", b"image/*"),
    # No compression: a small response must not expand into a large one.
    (b"Accept-Encoding", b"identity"),
)


@dataclass(frozen=True)
class Body:
    """The photo in a response."""

    data: bytes
    url: str
    validators: Validators
    is_kept: bool = False
    """Whether the host says that it is the one that the cache has."""


@dataclass
class Trace:
    """How far a request came, as httpcore reports it."""

    connected: bool = False
    """A connection was opened for it, so it was not sent on an older one."""
    answered: bool = False

    def __call__(self, event: str, _info: object) -> None:
        self.connected |= event == "connection.connect_tcp.started"
        self.answered |= event == "http11.receive_response_headers.complete"


class PhotoFetcher:
    """Fetches photos. Used by many threads at once."""

    def __init__(self, settings: FetchSettings, roots: ImageRoots, breakers: Breakers | None = None) -> None:
        self._settings = settings
        self._roots = roots
        self._deadline = Deadline()
        self._host_limit = HostLimit(settings.per_host)
        self._breakers = breakers or Breakers()
        self._probes = ThreadPoolExecutor(PROBES, thread_name_prefix="probe")
        self._cache = PhotoCache(settings.cache_dir, settings.cache_bytes)
        self._buckets = BucketReader(settings)
        self._pool = httpcore.ConnectionPool(
            # More than are used at once, so that those to several hosts stay open from one chunk to the next.
            max_connections=4 * settings.threads + PROBES,
            keepalive_expiry=KEEPALIVE_S,
            network_backend=PublicBackend(settings, self._deadline),
        )

    def fetch(self, reference: str) -> bytes:
        """Return the bytes of the photo at an http(s) URL, in an allowed bucket, or below an allowed folder.

        Raises:
            PermanentFailure: it does not exist, must not be fetched, is too large or takes too long.
            PhotoUnavailable: the host or the disk fails; a retry may succeed.
        """
        if is_in_bucket(reference):
            return self._buckets.read(reference)
        if not is_remote(reference):
            return self._read_file(reference)
        # The wait for the limit of a host does not count as time of the photo.
        with self._host_limit.of(checked_url(reference)), self._deadline.within(self._settings.deadline_s):
            return self._download(reference)

    def close(self) -> None:
        """Close the connections that are kept open."""
        self._probes.shutdown(cancel_futures=True)
        self._pool.close()

    def _read_file(self, reference: str) -> bytes:
        try:
            path = self._roots.resolve(reference)
        except UnsafePhotoPath as error:
            failure = PhotoGone if error.reason == "photo_not_found" else PhotoRefused
            raise failure(error.reason, str(error)) from error
        return read_limited(path, self._settings.max_bytes)

    def _download(self, reference: str) -> bytes:
        kept = self._cache.get(reference)
        body = self._follow(reference, kept)
        if not body.is_kept:
            self._cache.put(reference, body.url, body.validators, body.data)
        return body.data

    def _follow(self, reference: str, kept: KeptPhoto | None) -> Body:
        url = reference
        for _ in range(self._settings.max_redirects + 1):
            found = self._request(checked_url(url), kept if kept and kept.url == url else None)
            if isinstance(found, Body):
                return found
            url = redirect_target(url, found)
        raise PhotoUnusable(
            "photo_too_many_redirects",
            f"{reference[:200]} redirects more than {self._settings.max_redirects} times",
        )

    def _request(self, parts: SplitResult, kept: KeptPhoto | None) -> Body | str:
        """Return the photo, or the location that the host redirects to, unless the host is failing."""
        admission, failure = self._breakers.admit(parts.netloc)
        if admission is Admission.SEND:
            return self._observed(parts, kept)
        if admission is Admission.PROBE:
            self._probes.submit(self._probe, parts)
        raise PhotoUnavailable(
            "photo_unavailable", f"{parts.hostname} was not asked, since its last requests failed: {failure}"
        )

    def _probe(self, parts: SplitResult) -> None:
        """Find out whether a failing host answers again."""
        with suppress(Failure), self._deadline.within(self._settings.deadline_s):
            self._observed(parts, None)

    def _observed(self, parts: SplitResult, kept: KeptPhoto | None) -> Body | str:
        """Send the request, and record what it shows about the host."""
        outcome, detail = Outcome.SILENT, "no answer"
        try:
            found = self._exchange(parts, kept)
        except UNANSWERED as error:
            detail = f"{type(error).__name__}: {error}"
            # Raises photo_timeout if the photo's deadline has passed, which is permanent.
            self._deadline.clip(None)
            raise PhotoUnavailable("photo_unavailable", f"{parts.hostname}: {detail}") from error
        except PhotoUnavailable as error:
            outcome, detail = Outcome.FAILED, error.detail
            raise
        except Failure as error:
            outcome = Outcome.SILENT if error.reason == TIMED_OUT else Outcome.ANSWERED
            detail = error.detail
            raise
        else:
            outcome = Outcome.ANSWERED
            return found
        finally:
            self._breakers.record(parts.netloc, outcome, detail)

    def _exchange(self, parts: SplitResult, kept: KeptPhoto | None) -> Body | str:
        """Send the request, and again if the host had closed the connection (RFC 9112, 9.3.1)."""
        while True:
            trace = Trace()
            try:
                return self._send(parts, kept, trace)
            except UNANSWERED:
                if trace.connected or trace.answered:
                    raise

    def _send(self, parts: SplitResult, kept: KeptPhoto | None, trace: Trace) -> Body | str:
        idle = self._settings.idle_s
        timeouts = {"connect": idle, "read": idle, "write": idle, "pool": self._settings.deadline_s}
        headers = [*HEADERS, *kept.validators.condition()] if kept else [*HEADERS]
        extensions = {"timeout": timeouts, "trace": trace}
        with self._pool.stream("GET", request_url(parts), headers=headers, extensions=extensions) as response:
            if kept and response.status == NOT_MODIFIED:
                return Body(kept.data, kept.url, kept.validators, is_kept=True)
            location = header(response, b"location")
            if response.status in REDIRECTS and location:
                return location_text(location)
            check_status(response.status, parts.geturl())
            data = read_body(response, self._settings.max_bytes)
            return Body(data, parts.geturl(), validators_of(response))


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


def validators_of(response: httpcore.Response) -> Validators:
    """Return the validators of a photo; none if the host forbids to keep it (RFC 9111, 5.2.2.5)."""
    if b"no-store" in (header(response, b"cache-control") or b"").lower():
        return Validators()
    etag, date = header(response, b"etag"), header(response, b"last-modified")
    return Validators((etag or b"").decode("latin-1"), (date or b"").decode("latin-1"))


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
